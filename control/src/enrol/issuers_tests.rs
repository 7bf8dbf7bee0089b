//! Rotation and retirement, on the disk and in what is believed.

use std::os::unix::fs::PermissionsExt as _;

use super::super::ca::{Authority, RequestedKey};
use super::*;
use crate::clock;

fn fleet() -> Fleet {
    "fossable.org".parse().unwrap()
}

fn host(authority: &Authority) -> CertificateDer<'static> {
    let pair = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&pair).unwrap();
    let key = RequestedKey::from_request(request.der()).unwrap();
    let issued = authority.issue_host(&"local-a".parse().unwrap(), &key, clock::now()).unwrap();
    issued.certificate
}

fn signer(authority: &Authority, certificate: &[u8]) -> Option<u32> {
    authority.issuers().borrow().signer_of(certificate).map(|known| known.number.get())
}

#[test]
fn a_rotation_survives_a_restart_and_the_older_is_believed_until_it_is_retired() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::open(dir.path(), &fleet(), clock::now()).unwrap();
    let old = host(&authority);
    assert_eq!(signer(&authority, &old), Some(1));
    assert_eq!(authority.rotate(clock::now()).unwrap(), IssuerNumber::new(2));
    let new = host(&authority);
    assert_eq!((signer(&authority, &old), signer(&authority, &new)), (Some(1), Some(2)));
    let mode = fs::metadata(dir.path().join("issuer-2.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let authority = Authority::open(dir.path(), &fleet(), clock::now()).unwrap();
    assert_eq!((signer(&authority, &old), signer(&authority, &new)), (Some(1), Some(2)));
    let cut = authority.issuers().borrow().signer_of(&old).unwrap().cut.clone();
    assert!(matches!(
        authority.retire(IssuerNumber::new(2), clock::now()),
        Err(Error::Current { .. })
    ));
    authority.retire(IssuerNumber::new(1), clock::now()).unwrap();
    assert!(cut.is_cancelled());
    assert!(!dir.path().join("issuer-1.key").exists());

    for authority in [authority, Authority::open(dir.path(), &fleet(), clock::now()).unwrap()] {
        assert_eq!((signer(&authority, &old), signer(&authority, &new)), (None, Some(2)));
        assert_eq!(authority.issuers().borrow().believed().len(), 1);
    }
}

#[test]
fn the_roots_key_may_be_elsewhere_until_the_next_rotation() {
    let dir = tempfile::tempdir().unwrap();
    drop(Authority::open(dir.path(), &fleet(), clock::now()).unwrap());
    let (key, safe) = (dir.path().join("root.key"), dir.path().join("safe"));
    fs::rename(&key, &safe).unwrap();
    let authority = Authority::open(dir.path(), &fleet(), clock::now()).unwrap();
    host(&authority);
    assert!(matches!(authority.rotate(clock::now()), Err(Error::NoRootKey { .. })));
    assert!(!key.exists(), "no other root was made");
    fs::rename(&safe, &key).unwrap();
    authority.rotate(clock::now()).unwrap();
}

#[test]
fn an_issuer_of_another_root_is_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&one, &two] {
        Authority::open(dir.path(), &fleet(), clock::now()).unwrap();
    }
    for name in ["issuer-1.pem", "issuer-1.key"] {
        fs::copy(one.path().join(name), two.path().join(name)).unwrap();
    }
    let refused = Authority::open(two.path(), &fleet(), clock::now());
    assert!(matches!(refused, Err(Error::Unreadable { .. })));
}

#[test]
fn what_the_root_itself_signed_before_there_were_issuers_is_believed_until_it_is_retired() {
    let dir = tempfile::tempdir().unwrap();
    drop(Authority::open(dir.path(), &fleet(), clock::now()).unwrap());
    for name in ["issuer-1.pem", "issuer-1.key"] {
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    let key = KeyPair::from_pem(&fs::read_to_string(dir.path().join("root.key")).unwrap()).unwrap();
    let root = fs::read_to_string(dir.path().join("root.pem")).unwrap();
    let root = Issuer::from_ca_cert_pem(&root, key).unwrap();
    let pair = KeyPair::generate().unwrap();
    let old = CertificateParams::default().signed_by(&pair, &root).unwrap();

    let authority = Authority::open(dir.path(), &fleet(), clock::now()).unwrap();
    assert_eq!(signer(&authority, old.der()), Some(0));
    assert_eq!(signer(&authority, &host(&authority)), Some(1));
    authority.retire(IssuerNumber::ROOT, clock::now()).unwrap();
    assert_eq!(signer(&authority, old.der()), None);
    assert_eq!(signer(&authority, &host(&authority)), Some(1));
}

#[test]
fn an_issuer_is_followed_by_another_before_it_expires() {
    let dir = tempfile::tempdir().unwrap();
    let now = clock::now();
    let newest = |now| {
        let authority = Authority::open(dir.path(), &fleet(), now).unwrap();
        authority.issuers().borrow().newest().get()
    };
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(newest(now), 1);
    assert_eq!(newest(now.after(ISSUER_LIFETIME - 91 * day)), 1);
    // With the root's key alone, and it need not be there to go on.
    let (key, offline) = (dir.path().join("root.key"), dir.path().join("offline"));
    fs::rename(&key, &offline).unwrap();
    assert_eq!(newest(now.after(ISSUER_LIFETIME - 7 * day)), 1);
    fs::rename(&offline, &key).unwrap();
    // Also when it is too late for everybody who was logged in.
    assert_eq!(newest(now.after(ISSUER_LIFETIME + 7 * day)), 2);
}
