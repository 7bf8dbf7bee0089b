//! Only what a known certificate signed becomes a document, and only of its own Region.

use super::super::played::{AWS as PLAYED, Aws, document};
use super::*;

const INSTANCE: &str = "i-0123456789abcdef0";
const PENDING: &str = "2026-11-22T20:28:00Z";

fn region(code: &str) -> Region {
    code.parse().unwrap()
}

fn certificates() -> Certificates {
    let mut certificates = Certificates::bundled().unwrap();
    certificates.trust(&region("eu-central-1"), PLAYED.pem.as_bytes()).unwrap();
    certificates
}

fn open(document: &str) -> Result<Document, Error> {
    certificates().open(&PLAYED.sign(document))
}

#[test]
fn every_region_that_aws_publishes_a_certificate_for_has_one() {
    let certificates = Certificates::bundled().unwrap();
    assert_eq!(certificates.entries.len(), 39);
    for code in ["us-east-1", "eu-central-1", "ap-southeast-7", "cn-north-1", "us-gov-west-1"] {
        assert!(certificates.know(&region(code)), "{code}");
    }
    assert!(!certificates.know(&region("xx-nowhere-1")));
}

#[test]
fn t061_a_document_is_what_was_signed() {
    let document = open(&document(INSTANCE, PENDING)).unwrap();
    assert_eq!(document.instance.as_str(), INSTANCE);
    assert_eq!(document.account.as_str(), "123456789012");
    assert_eq!(document.image.as_str(), "ami-0123456789abcdef0");
    assert_eq!(document.pending.to_string(), PENDING);
}

#[test]
fn t062_a_stranger_and_another_regions_certificate_sign_nothing() {
    let good = document(INSTANCE, PENDING);
    let stranger = Aws::new().sign(&good);
    assert!(matches!(certificates().open(&stranger), Err(Error::UnknownSigner)));
    let elsewhere = good.replace("eu-central-1", "us-east-1");
    assert!(matches!(open(&elsewhere), Err(Error::OtherRegion { .. })));
    assert!(matches!(certificates().open(good.as_bytes()), Err(Error::Signature(_))));
    // Of two Regions with one certificate both are believed.
    let mut both = certificates();
    both.trust(&region("us-east-1"), PLAYED.pem.as_bytes()).unwrap();
    assert_eq!(both.open(&PLAYED.sign(&elsewhere)).unwrap().region, region("us-east-1"));
}

#[test]
fn t064_weak_certificates_are_not_taken() {
    let mut certificates = Certificates::bundled().unwrap();
    let elliptic = rcgen::generate_simple_self_signed(vec![]).unwrap().cert.pem();
    let region = region("eu-central-1");
    assert!(matches!(certificates.trust(&region, elliptic.as_bytes()), Err(Error::Weak)));
    for none in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let refused = certificates.trust(&region, none.as_bytes());
        assert!(matches!(refused, Err(Error::NoCertificate)), "{none}");
    }
}

#[test]
fn t067_a_time_that_is_missing_or_malformed_is_refused() {
    let good = document(INSTANCE, PENDING);
    assert!(matches!(open(&good.replace("pendingTime", "time")), Err(Error::Document(_))));
    assert!(matches!(open(&good.replace(PENDING, "yesterday")), Err(Error::Value(_))));
    assert!(matches!(open(&good.replace(PENDING, "")), Err(Error::Value(_))));
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    let good = document(INSTANCE, PENDING);
    let twice = good.replace("\"kernelId\" : null", "\"inst\\u0061nceId\" : \"i-00000000\"");
    assert!(matches!(open(&twice), Err(Error::Document(_))));
    for (from, to) in [
        ("123456789012", "12345678901"),
        (INSTANCE, "local-www-1"),
        (INSTANCE, "i-0123456789ABCDEF0"),
        ("ami-0123456789abcdef0", "ami-"),
        ("2017-09-30", "2031-01-01"),
        ("}", "} {}"),
    ] {
        assert!(open(&good.replace(from, to)).is_err(), "{to}");
    }
    // AWS may say more one day.
    assert!(open(&good.replace("kernelId", "quantumId")).is_ok());
}
