//! The cipher of a vault: PBKDF2, then AES-256 in counter mode, then HMAC over what it gave.
//!
//! As `VaultAES256` of ansible-core has it. Nothing is decrypted before its
//! authentication code was compared, in constant time.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{hmac, pbkdf2, rand};
use zeroize::Zeroizing;

use super::error::Error;
use super::format::{self, Body};
use super::password::Password;

/// Opens a vault: the bytes of a file, or of a `!vault` value.
///
/// # Errors
///
/// [`Error`], which says what to do, and not which file it was.
pub fn open(bytes: &[u8], password: &Password) -> Result<Zeroizing<Vec<u8>>, Error> {
    let Body { salt, hmac, ciphertext: mut text } = whole(bytes)?;
    let keys = Keys::derive(password, &salt);
    hmac::verify(&keys.authentication, &text, &hmac).map_err(|_| Error::WrongPassword)?;
    let refused = |_| Error::Library("decrypt");
    let context = DecryptionContext::Iv128(FixedLength::from(&keys.counter));
    let key = DecryptingKey::ctr(keys.cipher()?).map_err(refused)?;
    key.decrypt(&mut text, context).map_err(refused)?;
    let length = unpadded(&text).ok_or(Error::Damaged("its padding is not one"))?;
    text.truncate(length);
    Ok(text)
}

/// Looks whether a vault is all there, without a password. Whether anybody changed it, that does
/// not tell.
///
/// # Errors
///
/// [`Error`], as [`open`].
pub fn look_at(bytes: &[u8]) -> Result<(), Error> {
    whole(bytes).map(drop)
}

fn whole(bytes: &[u8]) -> Result<Body, Error> {
    let body = format::parse(bytes)?;
    if body.ciphertext.is_empty() || body.ciphertext.len() % BLOCK != 0 {
        return Err(Error::Damaged("its data does not end where a block ends"));
    }
    Ok(body)
}

/// Seals `plaintext` under a new salt; with a vault id other than `default` in format 1.2.
///
/// # Errors
///
/// [`Error::Label`], or [`Error::Library`] where there is no randomness.
pub fn seal(plaintext: &[u8], password: &Password, label: Option<&str>) -> Result<String, Error> {
    let mut salt = vec![0; SALT];
    rand::fill(&mut salt).map_err(|_| Error::Library("make a salt"))?;
    seal_with(plaintext, password, label, salt)
}

/// The same under a salt that is given, so that it can be compared with Ansible's.
fn seal_with(
    plaintext: &[u8],
    password: &Password,
    label: Option<&str>,
    salt: Vec<u8>,
) -> Result<String, Error> {
    let keys = Keys::derive(password, &salt);
    // PKCS#7 (RFC 5652, section 6.3): never less than one byte. With room for all of it,
    // no copy is left behind by growing.
    let padding = BLOCK - plaintext.len() % BLOCK;
    let mut text = Zeroizing::new(Vec::with_capacity(plaintext.len() + padding));
    text.extend_from_slice(plaintext);
    text.extend((0..padding).map(|_| u8::try_from(padding).unwrap_or_default()));
    let refused = |_| Error::Library("encrypt");
    let context = EncryptionContext::Iv128(FixedLength::from(&keys.counter));
    let key = EncryptingKey::ctr(keys.cipher()?).map_err(refused)?;
    // "Less safe" since the counter is given; each salt gives another.
    key.less_safe_encrypt(&mut text, context).map_err(refused)?;
    let hmac = hmac::sign(&keys.authentication, &text).as_ref().to_vec();
    format::write(&Body { salt, hmac, ciphertext: text }, label)
}

/// What a password and a salt give.
struct Keys {
    cipher: Zeroizing<[u8; KEY]>,
    authentication: hmac::Key,
    counter: [u8; BLOCK],
}

impl Keys {
    fn derive(password: &Password, salt: &[u8]) -> Self {
        let mut derived = Zeroizing::new([0; 2 * KEY + BLOCK]);
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            ROUNDS,
            salt,
            password.bytes(),
            derived.as_mut_slice(),
        );
        let (mut cipher, mut counter) = (Zeroizing::new([0; KEY]), [0; BLOCK]);
        cipher.copy_from_slice(&derived[..KEY]);
        counter.copy_from_slice(&derived[2 * KEY..]);
        let authentication = hmac::Key::new(hmac::HMAC_SHA256, &derived[KEY..2 * KEY]);
        Self { cipher, authentication, counter }
    }

    fn cipher(&self) -> Result<UnboundCipherKey, Error> {
        UnboundCipherKey::new(&AES_256, self.cipher.as_slice())
            .map_err(|_| Error::Library("set a key"))
    }
}

/// The length of `text` without its padding.
fn unpadded(text: &[u8]) -> Option<usize> {
    let padding = usize::from(*text.last()?);
    let (kept, end) = text.split_at_checked(text.len().checked_sub(padding)?)?;
    let sound = (1..=BLOCK).contains(&padding) && end.iter().all(|b| usize::from(*b) == padding);
    sound.then_some(kept.len())
}

/// Ansible's, fixed since 2014.
const ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(9_999);
const KEY: usize = 32;
const BLOCK: usize = 16;
const SALT: usize = 32;

#[cfg(test)]
#[path = "cipher_tests.rs"]
mod tests;
