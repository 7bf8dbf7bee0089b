//! What a control plane needs to judge instances of EC2.

use std::path::PathBuf;

use crate::aws::ec2::Ec2;
use crate::enrol::attest::{AwsConfig, Policy};
use crate::enrol::iid::{self, Certificates};
use crate::enrol::instance::Region;

/// The parts that judge.
#[derive(Debug)]
pub struct Aws {
    /// Whose signatures count.
    pub certificates: Certificates,
    /// Whose instances may enrol.
    pub policy: Policy,
    /// Who is asked.
    pub instances: Ec2,
}

impl Aws {
    /// Puts them together; fails where a region could never be judged.
    pub(super) async fn open(config: &AwsConfig) -> Result<Self, Error> {
        let certificates = certificates(config).await?;
        let instances = Ec2::new(config.endpoint.as_deref()).await;
        Ok(Self { certificates, policy: config.policy.clone(), instances })
    }
}

/// Whose signatures count: AWS's own certificates and those that `config` adds, at least one
/// for each Region.
pub(super) async fn certificates(config: &AwsConfig) -> Result<Certificates, Error> {
    let mut certificates = Certificates::bundled().map_err(Error::Bundled)?;
    for (region, path) in &config.certificates {
        let pem = tokio::fs::read(path)
            .await
            .map_err(|source| Error::Read { path: path.clone(), source })?;
        certificates
            .trust(region, &pem)
            .map_err(|source| Error::Certificate { path: path.clone(), source })?;
    }
    for region in &config.policy.regions {
        if !certificates.know(region) {
            return Err(Error::NoCertificate { region: region.clone() });
        }
    }
    Ok(certificates)
}

/// Why instances could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A table of this program is broken.
    #[error("the table of AWS's certificates cannot be used")]
    Bundled(#[source] iid::Error),
    /// A certificate could not be read.
    #[error("could not read the certificate `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A certificate cannot be used.
    #[error("the certificate `{}` cannot be used", path.display())]
    Certificate {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: iid::Error,
    },
    /// Nobody could enrol there.
    #[error("no certificate is known for documents of `{region}`")]
    NoCertificate {
        /// Where.
        region: Region,
    },
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Bundled(_) => "install floe anew",
            Self::Read { .. } => "correct `file` of [[aws.certificates]] in floe.toml",
            Self::Certificate { source, .. } => source.advice(),
            Self::NoCertificate { .. } => {
                "correct `aws.regions` in floe.toml, or add the Region's RSA-2048 certificate to \
                 [[aws.certificates]]"
            }
        }
    }
}
