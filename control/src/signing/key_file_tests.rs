//! Keys in files: whose they are, what opens them, what is never done to them.

use std::fs::{self, Permissions};
use std::path::PathBuf;

use super::*;

fn key() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.into())).unwrap()
}

fn with(text: &str) -> Environment {
    Environment { passphrase: Some(Zeroizing::new(text.into())), ..Environment::default() }
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("release.pem");
    (directory, path)
}

#[test]
fn a_new_key_is_its_owners_alone_and_never_overwritten() {
    let (_directory, path) = place();
    write_new(&path, &key(), None).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let again = write_new(&path, &SecretKey::generate().unwrap(), None).unwrap_err();
    assert!(matches!(again, Error::Exists { .. }));
    let (read, protection) = read(&path, &Environment::default()).unwrap();
    assert_eq!((read.public(), protection), (key().public(), Protection::Clear));
}

#[test]
fn a_key_in_the_clear_that_others_may_read_is_refused() {
    for mode in [0o640, 0o604, 0o644] {
        let (_directory, path) = place();
        write_new(&path, &key(), None).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let refused = read(&path, &Environment::default());
        assert!(matches!(refused, Err(Error::Exposed { .. })), "{mode:o}");
    }
}

#[test]
fn an_encrypted_key_takes_its_passphrase_and_no_other() {
    let (_directory, path) = place();
    write_new(&path, &key(), Some(&passphrase("correct horse"))).unwrap();
    assert!(!fs::read_to_string(&path).unwrap().contains("PRIVATE KEY"));
    // Others may read it: that is what it is encrypted for.
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let (opened, protection) = read(&path, &with("correct horse")).unwrap();
    assert_eq!((opened.public(), protection), (key().public(), Protection::Passphrase));
    let wrong = read(&path, &with("battery staple"));
    assert!(matches!(wrong, Err(Error::WrongPassphrase { .. })), "{wrong:?}");
    let locked = read(&path, &Environment::default()).unwrap_err();
    assert!(
        matches!(locked, Error::Locked { .. }) && locked.advice().contains("FLOE_KEY_PASSPHRASE")
    );
}

#[test]
fn a_key_is_encrypted_where_it_lies_once() {
    let (_directory, path) = place();
    write_new(&path, &key(), None).unwrap();
    assert_eq!(encrypt_in_place(&path, &passphrase("a")).unwrap().public(), key().public());
    assert_eq!(read(&path, &with("a")).unwrap().0.public(), key().public());
    let twice = encrypt_in_place(&path, &passphrase("b"));
    assert!(matches!(twice, Err(Error::EncryptedAlready { .. })));
}

#[test]
fn what_is_changed_in_an_encrypted_key_is_found() {
    let (_directory, path) = place();
    write_new(&path, &key(), Some(&passphrase("a"))).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    fs::write(&path, [&lines[..2], &lines[3..]].concat().join("\n")).unwrap();
    assert!(read(&path, &with("a")).is_err());
}

#[test]
fn a_key_that_would_take_hours_to_open_is_refused_at_once() {
    let armoured = "-----BEGIN AGE ENCRYPTED FILE-----\n";
    let header = "age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 40\n";
    let body = data_encoding::BASE64_NOPAD.encode(&[0; 32]);
    let mac = data_encoding::BASE64_NOPAD.encode(&[0; 32]);
    let file = data_encoding::BASE64.encode(format!("{header}{body}\n--- {mac}\n").as_bytes());
    let wrapped: Vec<_> =
        file.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line)).collect();
    let text = format!("{armoured}{}\n-----END AGE ENCRYPTED FILE-----\n", wrapped.join("\n"));
    let refused = parse(&text, "k", &with("a")).unwrap_err();
    assert!(matches!(refused, Error::Undecryptable { .. }), "{refused:?}");
    assert!(refused.to_string().contains("k"), "{refused}");
}

#[test]
fn what_is_no_key_is_named() {
    let (directory, path) = place();
    fs::write(&path, "hello").unwrap();
    assert!(matches!(read(&path, &Environment::default()), Err(Error::NotAKey { .. })));
    let gone = read(&directory.path().join("gone.pem"), &Environment::default());
    assert!(matches!(gone, Err(Error::NoKey { .. })));
    let directory = read(directory.path(), &Environment::default());
    assert!(matches!(directory, Err(Error::NotAKey { .. })));
}
