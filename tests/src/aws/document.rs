//! The instance identity document, inside a signature as AWS makes it.
//!
//! AWS EC2 User Guide, "Instance identity documents for Amazon EC2 instances" (what it
//! says) and "Verify instance identity documents" (the RSA-2048 signature). The form was
//! read off genuine ones: CMS SignedData (RFC 5652) in BER with indefinite lengths, the
//! content an OCTET STRING in chunks, no certificates, one signer by issuer and serial,
//! SHA-256, signed attributes contentType, signingTime, CMSAlgorithmProtection (RFC
//! 6211) and messageDigest. docs/trust.md 3.2 has the same list.

use floe_proto::digest::Digest;
use floe_proto::time::Timestamp;
use rcgen::{
    CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize, SerialNumber, SigningKey as _,
};
use serde_json::json;

use super::cloud::Instance;

/// What stands for AWS's key of one region.
#[derive(Debug)]
pub struct Signer {
    key: KeyPair,
    pem: String,
}

/// The certificate's, as it stands in the signature: 2.5.4.3, UTF8String.
const NAME: &str = "played region";
const SERIAL: [u8; 2] = [0x12, 0x34];

impl Signer {
    /// A new key and its certificate, self-signed as AWS's are.
    ///
    /// # Panics
    ///
    /// Where there is no randomness.
    pub fn new() -> Self {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, NAME);
        params.serial_number = Some(SerialNumber::from_slice(&SERIAL));
        let pem = params.self_signed(&key).unwrap().pem();
        Self { key, pem }
    }

    /// What a control plane is to be told to trust in this region.
    pub fn certificate(&self) -> &str {
        &self.pem
    }

    /// The document of `instance`, signed.
    pub fn document(&self, instance: &Instance) -> Vec<u8> {
        let document = json!({
            "accountId": instance.account,
            "architecture": "x86_64",
            "availabilityZone": format!("{}b", instance.region),
            "billingProducts": null,
            "devpayProductCodes": null,
            "marketplaceProductCodes": null,
            "imageId": instance.image,
            "instanceId": instance.id,
            "instanceType": "t3.micro",
            "kernelId": null,
            "pendingTime": seconds(instance.launched),
            "privateIp": instance.address,
            "ramdiskId": null,
            "region": instance.region,
            "version": "2017-09-30",
        });
        let document = serde_json::to_string_pretty(&document).unwrap();
        self.sign(document.as_bytes(), instance.launched)
    }

    /// `content` as CMS SignedData.
    ///
    /// # Panics
    ///
    /// Where the key cannot sign.
    pub fn sign(&self, content: &[u8], time: Timestamp) -> Vec<u8> {
        let digest = data_encoding::HEXLOWER.decode(Digest::of(content).to_string().as_bytes());
        let mut attributes = [
            attribute(CONTENT_TYPE, &tlv(OID, &[DATA])),
            attribute(SIGNING_TIME, &tlv(UTC_TIME, &[utc(time).as_bytes()])),
            attribute(
                ALGORITHM_PROTECTION,
                &tlv(SEQUENCE, &[&algorithm(SHA256), &tlv(CONTEXT_1, &[&named(SHA256_WITH_RSA)])]),
            ),
            attribute(MESSAGE_DIGEST, &tlv(OCTET_STRING, &[&digest.unwrap()])),
        ];
        // DER's order of a SET OF.
        attributes.sort();
        let attributes = attributes.concat();
        // RFC 5652, section 5.4: signed is the SET, not the [0] that is sent.
        let signature = self.key.sign(&tlv(SET, &[&attributes])).unwrap();
        let name =
            tlv(SEQUENCE, &[&tlv(OID, &[COMMON_NAME]), &tlv(UTF8_STRING, &[NAME.as_bytes()])]);
        let issuer = tlv(SEQUENCE, &[&tlv(SET, &[&name])]);
        let signer = tlv(
            SEQUENCE,
            &[
                VERSION_1,
                &tlv(SEQUENCE, &[&issuer, &tlv(INTEGER, &[&SERIAL])]),
                &algorithm(SHA256),
                &tlv(CONTEXT_0, &[&attributes]),
                &algorithm(RSA),
                &tlv(OCTET_STRING, &[&signature]),
            ],
        );
        let chunks = [tlv(OCTET_STRING, &[content])].concat();
        let chunked = open_end(CHUNKED_OCTET_STRING, &[&chunks]);
        let content = open_end(SEQUENCE, &[&tlv(OID, &[DATA]), &open_end(CONTEXT_0, &[&chunked])]);
        let signed_data = open_end(
            SEQUENCE,
            &[VERSION_1, &tlv(SET, &[&algorithm(SHA256)]), &content, &tlv(SET, &[&signer])],
        );
        open_end(SEQUENCE, &[&tlv(OID, &[SIGNED_DATA]), &open_end(CONTEXT_0, &[&signed_data])])
    }
}

impl Default for Signer {
    fn default() -> Self {
        Self::new()
    }
}

/// As documents and EC2's API have it: `2016-11-19T16:32:11Z`.
pub(super) fn seconds(time: Timestamp) -> String {
    time.whole_seconds().to_string()
}

/// `161119163211Z`.
fn utc(time: Timestamp) -> String {
    let digits: String = seconds(time).chars().filter(char::is_ascii_digit).collect();
    format!("{}Z", &digits[2..14])
}

fn attribute(kind: &[u8], value: &[u8]) -> Vec<u8> {
    tlv(SEQUENCE, &[&tlv(OID, &[kind]), &tlv(SET, &[value])])
}

fn algorithm(name: &[u8]) -> Vec<u8> {
    tlv(SEQUENCE, &[&named(name)])
}

/// An algorithm's name and its NULL.
fn named(name: &[u8]) -> Vec<u8> {
    [&tlv(OID, &[name])[..], &[0x05, 0x00]].concat()
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let length = u16::try_from(contents.len()).unwrap();
    let [high, low] = length.to_be_bytes();
    let header = match length {
        0..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        0x100.. => vec![tag, 0x82, high, low],
    };
    [header, contents].concat()
}

/// X.690, section 8.1.3.6: no length, and two zero octets where it ends.
fn open_end(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    [&[tag, 0x80], &parts.concat()[..], &[0, 0]].concat()
}

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const CHUNKED_OCTET_STRING: u8 = 0x24;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_1: u8 = 0xa1;
const VERSION_1: &[u8] = &[INTEGER, 1, 1];

// 1.2.840.113549.1.7, 1.2.840.113549.1.9, 1.2.840.113549.1.1, 2.16.840.1.101.3.4.2, 2.5.4.
const DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
const SIGNED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
const CONTENT_TYPE: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03";
const MESSAGE_DIGEST: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04";
const SIGNING_TIME: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05";
const ALGORITHM_PROTECTION: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x34";
const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const SHA256_WITH_RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b";
const SHA256: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x01";
const COMMON_NAME: &[u8] = b"\x55\x04\x03";

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// OpenSSL reads it, and takes the signature with the pinned certificate alone.
    #[test]
    fn openssl_verifies_what_is_signed_here() {
        let directory = tempfile::tempdir().unwrap();
        let (blob, pem) = (directory.path().join("blob"), directory.path().join("pem"));
        let signer = Signer::new();
        let time = std::time::SystemTime::now().into();
        std::fs::write(&blob, signer.sign(b"{\"version\":\"2017-09-30\"}", time)).unwrap();
        std::fs::write(&pem, signer.certificate()).unwrap();
        let output = Command::new("openssl")
            .args(["cms", "-verify", "-inform", "DER", "-noverify", "-nointern", "-certfile"])
            .arg(&pem)
            .arg("-in")
            .arg(&blob)
            .output();
        let Ok(output) = output else { return }; // a machine without it
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert_eq!(output.stdout, b"{\"version\":\"2017-09-30\"}");
    }
}
