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

use super::fault::Faults;
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
    pub(super) fn checked(self, faults: &mut Faults) -> AwsConfig {
        let mut policy = Policy {
            metadata: match self.metadata {
                RawMetadata::Guarded => Metadata::Guarded,
                RawMetadata::Any => Metadata::Any,
            },
            ..Policy::default()
        };
        for (at, account) in self.accounts.into_iter().enumerate() {
            let account = faults.take(&format!("aws.accounts #{}", at + 1), account.parse());
            policy.accounts.extend(account);
        }
        for (at, region) in self.regions.into_iter().enumerate() {
            let region = faults.take(&format!("aws.regions #{}", at + 1), region.parse());
            policy.regions.extend(region);
        }
        if policy.accounts.is_empty() != policy.regions.is_empty() {
            faults.add("aws", "`accounts` and `regions` go together; one is empty".to_owned());
        }
        let mut certificates = Vec::new();
        for (at, certificate) in self.certificates.into_iter().enumerate() {
            let name = format!("aws.certificates #{}.region", at + 1);
            let region = faults.take(&name, certificate.region.parse());
            certificates.extend(region.map(|region| (region, certificate.file)));
        }
        AwsConfig { policy, certificates, endpoint: self.endpoint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> (AwsConfig, Vec<String>) {
        let (raw, mut faults): (RawAws, _) = (toml::from_str(text).unwrap(), Faults::default());
        (raw.checked(&mut faults), faults.sentences())
    }

    #[test]
    fn nobody_enrols_unless_it_is_said_who() {
        let (config, faults) = checked("");
        assert_eq!((config, faults), (AwsConfig::default(), Vec::new()));
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
