//! What certificates say, and which requests get one.

use std::os::unix::fs::PermissionsExt as _;

use floe_proto::transport::Identity;

use super::*;
use crate::clock;

fn fleet() -> Fleet {
    "fossable.org".parse().unwrap()
}

fn request(key: &KeyPair) -> Vec<u8> {
    let mut params = CertificateParams::new(vec!["evil.example.org".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.serialize_request(key).unwrap().der().to_vec()
}

#[test]
fn the_root_is_made_once_and_its_key_is_nobody_elses() {
    let dir = tempfile::tempdir().unwrap();
    let first = Authority::open(dir.path(), &fleet(), clock::now()).unwrap();
    let again = Authority::open(dir.path(), &fleet(), clock::now()).unwrap();
    assert_eq!(first.root_pem(), again.root_pem());
    let mode = fs::metadata(dir.path().join("root.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_root_of_another_key_is_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&one, &two] {
        Authority::open(dir.path(), &fleet(), clock::now()).unwrap();
    }
    fs::copy(one.path().join("root.key"), two.path().join("root.key")).unwrap();
    let refused = Authority::open(two.path(), &fleet(), clock::now());
    assert!(matches!(refused, Err(Error::Unreadable { .. })));
}

#[test]
fn of_a_request_only_the_key_is_used() {
    let (dir, now) = (tempfile::tempdir().unwrap(), clock::now());
    let authority = Authority::open(dir.path(), &fleet(), now).unwrap();
    let key = KeyPair::generate().unwrap();
    let requested = RequestedKey::from_request(&request(&key)).unwrap();
    let host = "local-www-1".parse().unwrap();
    let issued = authority.issue_host(&host, &requested, now).unwrap();

    let (_, certificate) = x509_parser::parse_x509_certificate(&issued.certificate).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    let shown: Vec<_> = names.value.general_names.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["URI(spiffe://fossable.org/host/local-www-1)"]);
    assert_eq!(certificate.public_key().raw, key.subject_public_key_info());
    assert_eq!(certificate.subject().iter().count(), 0);
    assert!(!certificate.is_ca());
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    let serial: String = issued.serial;
    assert_eq!(HEXLOWER.encode(certificate.raw_serial()), serial);
    assert_eq!(issued.expires, now.after(HOST_LIFETIME));
}

#[test]
fn a_request_that_does_not_prove_its_key_is_refused() {
    let good = request(&KeyPair::generate().unwrap());
    let mut unproven = good.clone();
    *unproven.last_mut().unwrap() ^= 1;
    let mut followed = good.clone();
    followed.push(0);
    for bad in [&unproven[..], &followed, &good[..good.len() - 1], b"", &[0x30; 5000]] {
        assert!(matches!(RequestedKey::from_request(bad), Err(Error::Request(_))));
    }
}

#[test]
fn credentials_are_three_files_that_fit() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let authority = Authority::open(dir.path(), &fleet(), clock::now()).unwrap();
    let ada = authority.issue_operator("ada", clock::now()).unwrap();
    ada.write(out.path(), &authority).unwrap();
    let file = |name: &str| fs::read(out.path().join(name)).unwrap();
    let identity = Identity::from_pem(&file("cert.pem"), &file("key.pem")).unwrap();
    let ca = floe_proto::transport::certificates(&file("ca.pem")).unwrap();
    floe_proto::transport::client_config(&ca, &fleet(), Some(identity)).unwrap();
    let in_days = |days: u64| clock::now().after(Duration::from_secs(days * 24 * 3600));
    assert!(authority.still_good(out.path(), in_days(364)));
    assert!(!authority.still_good(out.path(), in_days(366)));
    assert!(!authority.still_good(dir.path(), in_days(0)));
    let mode = fs::metadata(out.path().join("key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
