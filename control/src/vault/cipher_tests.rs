use proptest::prelude::*;

use super::*;
use crate::vault::{is_sealed, label};

const V11: &str = include_str!("fixtures/v11");
const V12: &str = include_str!("fixtures/v12");
const EMPTY: &str = include_str!("fixtures/empty");
const BLOCK_OF_TEXT: &str = include_str!("fixtures/block");
const PLAIN: &str = include_str!("fixtures/plain.yml");

fn password() -> Password {
    Password::new(include_bytes!("fixtures/password")).unwrap()
}

fn text(sealed: &str) -> Result<String, Error> {
    open(sealed.as_bytes(), &password()).map(|text| String::from_utf8(text.to_vec()).unwrap())
}

#[test]
fn what_ansible_sealed_is_opened() {
    assert_eq!(text(V11).unwrap(), PLAIN);
    assert_eq!(text(V12).unwrap(), PLAIN);
    assert_eq!(text(EMPTY).unwrap(), "");
    assert_eq!(text(BLOCK_OF_TEXT).unwrap(), "0123456789abcdef");
    assert_eq!(label(V11.as_bytes()).unwrap(), None);
    assert_eq!(label(V12.as_bytes()).unwrap().as_deref(), Some("prod"));
}

#[test]
fn under_the_same_salt_the_bytes_are_ansibles() {
    let seal = |plain: &[u8]| seal_with(plain, &password(), None, b"floe-salt".to_vec()).unwrap();
    assert_eq!(seal(b""), EMPTY);
    assert_eq!(seal(b"0123456789abcdef"), BLOCK_OF_TEXT);
}

#[test]
fn ends_of_lines_and_spaces_of_the_way_do_not_matter() {
    assert_eq!(text(&V11.replace('\n', "\r\n")).unwrap(), PLAIN);
    assert_eq!(text(V11.trim_end()).unwrap(), PLAIN);
    assert_eq!(text(&V12.replace('\n', "  \n   ")).unwrap(), PLAIN);
}

#[test]
fn another_password_and_another_byte_are_found_before_anything_is_decrypted() {
    let other = Password::new(b"hunter3").unwrap();
    assert!(matches!(open(V11.as_bytes(), &other), Err(Error::WrongPassword)));
    let Body { salt, hmac, mut ciphertext } = format::parse(V11.as_bytes()).unwrap();
    ciphertext[0] ^= 1;
    let changed = format::write(&Body { salt, hmac, ciphertext }, None).unwrap();
    assert!(matches!(text(&changed), Err(Error::WrongPassword)));
}

#[test]
fn a_short_code_is_no_code() {
    let Body { salt, mut hmac, ciphertext } = format::parse(V11.as_bytes()).unwrap();
    hmac.truncate(4);
    let short = format::write(&Body { salt, hmac, ciphertext }, None).unwrap();
    assert!(matches!(text(&short), Err(Error::WrongPassword)));
}

#[test]
fn what_is_no_vault_says_what_it_is() {
    let sentence = |sealed: &str| text(sealed).unwrap_err().to_string();
    assert!(sentence("hosts: {}\n").contains("not sealed"));
    assert!(sentence("$ANSIBLE_VAULT").contains("first line is not"));
    assert!(sentence(&V11.replacen("1.1", "1.0", 1)).contains("format is `1.0`"));
    assert!(sentence(&V11.replacen("AES256", "AES", 1)).contains("cipher is `AES`"));
    assert!(sentence("$ANSIBLE_VAULT;1.1;AES256\n").contains("not all there"));
}

#[test]
fn wherever_it_is_cut_off_it_does_not_open() {
    for length in 0..V11.trim_end().len() {
        assert!(text(&V11[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_vault_id_of_ansible_itself_is_not_written_down() {
    let sealed = |label| seal(b"x", &password(), label);
    assert!(sealed(Some("default")).unwrap().starts_with("$ANSIBLE_VAULT;1.1;AES256\n"));
    assert!(sealed(Some("prod")).unwrap().starts_with("$ANSIBLE_VAULT;1.2;AES256;prod\n"));
    assert!(matches!(sealed(Some("a;b\n")), Err(Error::Label { .. })));
    assert_ne!(sealed(None).unwrap(), sealed(None).unwrap(), "each has a salt of its own");
}

proptest! {
    // Each case derives keys twice, 10,000 rounds each.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_sealed_is_opened(
        plain in proptest::collection::vec(any::<u8>(), 0..200),
        secret in proptest::collection::vec(33..127u8, 1..40),
        label in proptest::option::of("[a-z]{1,8}"),
    ) {
        let password = Password::new(&secret).unwrap();
        let sealed = seal(&plain, &password, label.as_deref()).unwrap();
        prop_assert!(is_sealed(sealed.as_bytes()));
        prop_assert!(sealed.lines().skip(1).all(|line| line.len() <= 80));
        prop_assert_eq!(&**open(sealed.as_bytes(), &password).unwrap(), &plain);
    }

    #[test]
    fn no_bytes_below_a_header_bring_it_down(rest in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = b"$ANSIBLE_VAULT;1.1;AES256\n".to_vec();
        bytes.extend(rest);
        prop_assert!(open(&bytes, &password()).is_err());
    }
}
