//! Join tokens: `floe-join-` and 256 random bits in base32.
//!
//! Whoever holds one may become one host of one role, once. Only its SHA-256 is
//! kept; with 256 random bits there is nothing to guess, so the hash needs no salt
//! and looking it up leaks nothing by its time.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use floe_proto::digest::Digest;
use zeroize::Zeroizing;

const PREFIX: &str = "floe-join-";

/// A join token. Printed only where its text is asked for; wiped when dropped.
pub struct JoinToken(Zeroizing<String>);

impl JoinToken {
    /// A new token from the operating system's randomness.
    pub fn generate() -> Result<Self, Error> {
        let mut bits = Zeroizing::new([0; 32]);
        getrandom::fill(bits.as_mut_slice()).map_err(|_| Error::NoRandomness)?;
        let text = Zeroizing::new(BASE32_NOPAD.encode(bits.as_slice()).to_ascii_lowercase());
        Ok(Self(Zeroizing::new(format!("{PREFIX}{}", text.as_str()))))
    }

    /// Takes what a machine sent.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let body = text.strip_prefix(PREFIX).ok_or(Error::NotAToken)?;
        let lower = body.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bits = BASE32_NOPAD.decode(body.to_ascii_uppercase().as_bytes());
        match bits.map(Zeroizing::new) {
            Ok(bits) if lower && bits.len() == 32 => Ok(Self(Zeroizing::new(text.to_owned()))),
            Ok(_) | Err(_) => Err(Error::NotAToken),
        }
    }

    /// The text to give to the machine.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// What is stored.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinToken(…)")
    }
}

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is none.
    #[error("this is no join token; expected `floe-join-` and 52 letters and digits")]
    NotAToken,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_and_does_not_print() {
        let token = JoinToken::generate().unwrap();
        assert_eq!(token.text().len(), PREFIX.len() + 52);
        assert_eq!(JoinToken::parse(token.text()).unwrap().digest(), token.digest());
        assert_ne!(JoinToken::generate().unwrap().digest(), token.digest());
        assert_eq!(format!("{token:?}"), "JoinToken(…)");
    }

    #[test]
    fn what_is_no_token_is_refused_before_the_database_is_asked() {
        let token = JoinToken::generate().unwrap();
        let short = &token.text()[..token.text().len() - 1];
        let upper = token.text().to_uppercase();
        for text in ["", PREFIX, "floe-join-aaaa", short, &upper, &format!("{short}!")] {
            assert!(JoinToken::parse(text).is_err(), "{text}");
        }
    }
}
