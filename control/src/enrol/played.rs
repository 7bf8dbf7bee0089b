//! For tests: somebody who signs instance identity documents as AWS does, with a
//! certificate of their own.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use rustls::pki_types::PrivatePkcs8KeyDer;
use x509_parser::prelude::parse_x509_certificate;

use floe_proto::time::Timestamp;

use super::instance::Instance;
use super::pkcs7;

/// A certificate, and the key to it.
pub(crate) struct Aws {
    key: KeyPair,
    issuer: Vec<u8>,
    serial: Vec<u8>,
    /// The certificate, to be trusted.
    pub(crate) pem: String,
}

/// One for all tests of a process: RSA keys take their time.
pub(crate) static AWS: LazyLock<Aws> = LazyLock::new(Aws::new);

impl Aws {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let der = PrivatePkcs8KeyDer::from(der.as_ref());
        let signing =
            rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "played AWS");
        let certificate = params.self_signed(&signing).unwrap();
        let (_, parsed) = parse_x509_certificate(certificate.der()).unwrap();
        Self {
            issuer: parsed.issuer().as_raw().to_vec(),
            serial: parsed.raw_serial().to_vec(),
            pem: certificate.pem(),
            key,
        }
    }

    /// What the metadata service would send.
    pub(crate) fn sign(&self, document: &str) -> Vec<u8> {
        pkcs7::tests::sign(document.as_bytes(), &self.issuer, &self.serial, &self.key)
    }
}

/// A document as AWS writes it, of one instance.
pub(crate) fn document(instance: &str, pending: &str) -> String {
    format!(
        r#"{{
  "accountId" : "123456789012",
  "architecture" : "x86_64",
  "availabilityZone" : "eu-central-1a",
  "billingProducts" : null,
  "devpayProductCodes" : null,
  "marketplaceProductCodes" : null,
  "imageId" : "ami-0123456789abcdef0",
  "instanceId" : "{instance}",
  "instanceType" : "t4g.small",
  "kernelId" : null,
  "pendingTime" : "{pending}",
  "privateIp" : "10.0.0.209",
  "ramdiskId" : null,
  "region" : "eu-central-1",
  "version" : "2017-09-30"
}}"#
    )
}

/// The same instance, as AWS describes it.
pub(crate) fn instance(id: &str, started: Timestamp) -> Instance {
    Instance {
        id: id.to_owned(),
        account: "123456789012".to_owned(),
        image: "ami-0123456789abcdef0".to_owned(),
        running: true,
        launched: Some(started),
        answers_without_token: false,
        hop_limit: 1,
        root_attached: Some(started),
        network_attached: Some(started),
    }
}
