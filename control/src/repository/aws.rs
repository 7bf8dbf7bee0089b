//! `[aws]` of floe.toml: whose instances may enrol by what AWS signed about them.
//!
//! ```toml
//! [aws]
//! accounts = ["123456789012"]      # whose instances; none is the default
//! regions = ["eu-central-1"]       # where they may run
//! metadata = "guarded"             # or "any": do not look at their metadata service
//! endpoint = "http://127.0.0.1:4566"   # instead of EC2's own, for tests
//!
//! [[aws.certificates]]             # besides AWS's own, which floe brings along
//! region = "eu-central-1"
//! file = "aws/eu-central-1.pem"    # relative to the repository, or absolute
//! ```

use std::path::PathBuf;

use serde::Deserialize;

use crate::enrol::attest::{AwsConfig, Metadata, Policy};

/// As it is typed.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAws {
    accounts: Vec<String>,
    regions: Vec<String>,
    metadata: RawMetadata,
    endpoint: Option<String>,
    certificates: Vec<RawCertificate>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawMetadata {
    #[default]
    Guarded,
    Any,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCertificate {
    region: String,
    file: PathBuf,
}

impl RawAws {
    pub(super) fn checked(self, faults: &mut Vec<String>) -> AwsConfig {
        let mut policy = Policy {
            metadata: match self.metadata {
                RawMetadata::Guarded => Metadata::Guarded,
                RawMetadata::Any => Metadata::Any,
            },
            ..Policy::default()
        };
        for account in self.accounts {
            match account.parse() {
                Ok(account) => drop(policy.accounts.insert(account)),
                Err(error) => faults.push(format!("aws.accounts: {error}")),
            }
        }
        for region in self.regions {
            match region.parse() {
                Ok(region) => drop(policy.regions.insert(region)),
                Err(error) => faults.push(format!("aws.regions: {error}")),
            }
        }
        if policy.accounts.is_empty() != policy.regions.is_empty() {
            faults.push("aws: `accounts` and `regions` go together; one is empty".to_owned());
        }
        let mut certificates = Vec::new();
        for certificate in self.certificates {
            match certificate.region.parse() {
                Ok(region) => certificates.push((region, certificate.file)),
                Err(error) => faults.push(format!("aws.certificates: {error}")),
            }
        }
        AwsConfig { policy, certificates, endpoint: self.endpoint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> (AwsConfig, Vec<String>) {
        let (raw, mut faults): (RawAws, _) = (toml::from_str(text).unwrap(), Vec::new());
        (raw.checked(&mut faults), faults)
    }

    #[test]
    fn nobody_enrols_unless_it_is_said_who() {
        let (config, faults) = checked("");
        assert_eq!((config, faults), (AwsConfig::default(), vec![]));
        let text = "accounts = ['123456789012']\nregions = ['eu-central-1']\n\
                    [[certificates]]\nregion = 'eu-central-1'\nfile = 'aws.pem'";
        let (config, faults) = checked(text);
        assert!(faults.is_empty());
        assert_eq!(config.policy.metadata, Metadata::Guarded);
        assert_eq!((config.policy.accounts.len(), config.certificates.len()), (1, 1));
    }

    #[test]
    fn all_faults_come_at_once() {
        let (_, faults) = checked("accounts = ['1']\nregions = ['x', 'eu-central-1']");
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults[2].contains("go together"));
        assert!(toml::from_str::<RawAws>("metadata = 'v1'").is_err());
    }
}
