//! Digests of passwords and of anything else, and base64.

use std::str;

use aws_lc_rs::digest::{self, SHA224, SHA256, SHA384, SHA512};
use data_encoding::{BASE64, BASE64URL, BitOrder, Encoding, HEXLOWER, Specification};
use md5::{Digest as _, Md5};
use minijinja::value::{Rest, Value, ValueOrKwargs};
use minijinja::{Environment, Error};
use sha_crypt::Params;
use sha1::Sha1;

use super::super::arguments::{Arguments, fault};
use super::super::python;
use super::super::salted::Marked;
use super::super::salts::{Algorithm, SaltDesk, is_salt};

pub(super) fn add(environment: &mut Environment<'static>, desk: &SaltDesk, marked: &Marked) {
    // By its own name it is used by other filters: `map('password_hash')`.
    let plain = ("password_hash".to_owned(), "map".to_owned());
    for (name, expression) in marked.filters.iter().cloned().chain([plain]) {
        let desk = desk.clone();
        environment.add_filter(name, move |value: Value, given: Rest<ValueOrKwargs>| {
            password_hash(&value, &given, &desk, &expression)
        });
    }
    environment.add_filter("hash", |value: Value, given: Rest<ValueOrKwargs>| {
        let name = Arguments::new(&["hashtype"], &given)?.text("hashtype")?;
        hash(&value, name.as_deref().unwrap_or("sha1"))
    });
    for (name, algorithm) in [("checksum", "sha1"), ("sha1", "sha1"), ("md5", "md5")] {
        environment.add_filter(name, move |value: Value| hash(&value, algorithm));
    }
    environment.add_filter("to_uuid", to_uuid);
    environment.add_filter("b64encode", b64encode);
    environment.add_filter("b64decode", b64decode);
}

/// As Ansible with passlib, so with its rounds: more than crypt(3) takes by itself.
fn password_hash(
    value: &Value,
    given: &Rest<ValueOrKwargs>,
    desk: &SaltDesk,
    expression: &str,
) -> Result<String, Error> {
    let given = Arguments::new(&["hashtype", "salt", "salt_size", "rounds", "ident"], given)?;
    let password = python::string(value)?;
    if password.contains('\0') {
        return Err(fault("a password holds no NUL"));
    }
    let algorithm = match given.text("hashtype")?.as_deref().unwrap_or("sha512") {
        "sha512" | "sha512_crypt" => Algorithm::Sha512,
        "sha256" | "sha256_crypt" => Algorithm::Sha256,
        "blowfish" | "bcrypt" => Algorithm::Bcrypt,
        other => {
            return Err(fault(format!(
                "password_hash('{other}') is not known; sha512, sha256 and blowfish are"
            )));
        }
    };
    let salt = match given.text("salt")?.filter(|salt| !salt.is_empty()) {
        Some(salt) if is_salt(&salt) => salt,
        Some(_) => return Err(fault("a salt has letters, digits, `.` and `/`, at most 22")),
        None => desk.take(expression, algorithm).map_err(|error| fault(error.to_string()))?,
    };
    let size = given.whole("salt_size")?.and_then(|size| usize::try_from(size).ok());
    let salt = match (size, given.value("salt")) {
        (Some(size), None) => salt.get(..size).unwrap_or(&salt),
        (Some(_) | None, _) => &salt,
    };
    let rounds = given.whole("rounds")?.map(u32::try_from).transpose();
    let rounds = rounds.map_err(|_| fault("`rounds` is out of range"))?;
    match algorithm {
        Algorithm::Sha512 => {
            let params = params(rounds.unwrap_or(656_000))?;
            let digest = sha_crypt::sha512_crypt(password.as_bytes(), short(salt)?, params);
            let digest = mixed(&digest, 21, |turn| turn);
            crypt("6", salt, rounds.unwrap_or(656_000), &digest)
        }
        Algorithm::Sha256 => {
            let params = params(rounds.unwrap_or(535_000))?;
            let digest = sha_crypt::sha256_crypt(password.as_bytes(), short(salt)?, params);
            let digest = mixed(&digest, 10, |turn| 3 - turn);
            crypt("5", salt, rounds.unwrap_or(535_000), &digest)
        }
        Algorithm::Bcrypt => bcrypt(&password, salt, rounds.unwrap_or(12), given.text("ident")?),
    }
}

/// The order in which crypt(3) writes the bytes of a digest: of each third one, turned by
/// one more each time (Drepper, "Unix crypt using SHA-256 and SHA-512", step 22).
fn mixed(digest: &[u8], third: usize, left: impl Fn(usize) -> usize) -> Vec<u8> {
    let triples = (0..third).flat_map(|at| {
        let mut triple = [at, at + third, at + 2 * third];
        triple.rotate_left(left(at % 3));
        triple.reverse();
        triple
    });
    let rest = 3 * third..digest.len();
    triples.chain(rest).filter_map(|at| digest.get(at).copied()).collect()
}

fn params(rounds: u32) -> Result<Params, Error> {
    Params::new(rounds).map_err(|_| fault("`rounds` must be from 1000 to 999999999"))
}

fn short(salt: &str) -> Result<&[u8], Error> {
    if salt.len() > 16 {
        return Err(fault("a salt of sha256 and sha512 has at most 16 characters"));
    }
    Ok(salt.as_bytes())
}

/// `$6$rounds=656000$salt$digest`. The 5000 rounds of crypt(3) itself are not written down.
fn crypt(id: &str, salt: &str, rounds: u32, digest: &[u8]) -> Result<String, Error> {
    let mut letters = Specification::new();
    letters.symbols.push_str("./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    letters.bit_order = BitOrder::LeastSignificantFirst;
    let digest = encoding(&letters)?.encode(digest);
    let rounds = if rounds == 5000 { String::new() } else { format!("rounds={rounds}$") };
    Ok(format!("${id}${rounds}{salt}${digest}"))
}

fn bcrypt(password: &str, salt: &str, cost: u32, ident: Option<String>) -> Result<String, Error> {
    let version = match ident.as_deref() {
        None | Some("2b" | "$2b$") => bcrypt::Version::TwoB,
        Some("2a" | "$2a$") => bcrypt::Version::TwoA,
        Some("2y" | "$2y$") => bcrypt::Version::TwoY,
        Some(_) => return Err(fault("`ident` must be one of 2a, 2b, 2y")),
    };
    let mut letters = Specification::new();
    letters.symbols.push_str("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
    // 22 letters are 132 bits; passlib clears the last four, and so do we.
    letters.check_trailing_bits = false;
    let bytes = encoding(&letters)?.decode(salt.as_bytes()).ok();
    let bytes: Option<[u8; 16]> = bytes.and_then(|bytes| bytes.try_into().ok());
    let bytes = bytes.ok_or_else(|| fault("a salt of blowfish has 22 characters"))?;
    let hashed = bcrypt::non_truncating_hash_with_salt(password, cost, bytes);
    let hashed = hashed.map_err(|error| fault(format!("blowfish: {error}")))?;
    Ok(hashed.format_for_version(version))
}

fn encoding(letters: &Specification) -> Result<Encoding, Error> {
    letters.encoding().map_err(|error| fault(error.to_string()))
}

fn hash(value: &Value, name: &str) -> Result<String, Error> {
    let text = python::string(value)?;
    let bytes = text.as_bytes();
    let sha2 = |algorithm| Ok(HEXLOWER.encode(digest::digest(algorithm, bytes).as_ref()));
    match name {
        "md5" => Ok(HEXLOWER.encode(&Md5::digest(bytes))),
        "sha1" => Ok(HEXLOWER.encode(&Sha1::digest(bytes))),
        "sha224" => sha2(&SHA224),
        "sha256" => sha2(&SHA256),
        "sha384" => sha2(&SHA384),
        "sha512" => sha2(&SHA512),
        other => Err(fault(format!("hash('{other}') is not known"))),
    }
}

/// A name-based UUID (RFC 9562, section 5.5), in Ansible's own name space.
fn to_uuid(value: Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let space = Arguments::new(&["namespace"], &given)?.text("namespace")?;
    let space = space.as_deref().unwrap_or("361E6D51-FAEC-444A-9079-341386DA8E2E");
    let digits: String = space.chars().filter(|c| *c != '-').collect();
    let space = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok();
    let space =
        space.filter(|space| space.len() == 16).ok_or_else(|| fault("no such namespace"))?;
    let digest = Sha1::new().chain_update(space).chain_update(python::string(&value)?).finalize();
    let mut bytes = digest[..16].to_vec();
    bytes[6] = (bytes[6] & 0x0f) | 0x50;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = HEXLOWER.encode(&bytes);
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

fn b64encode(value: Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let given = Arguments::new(&["encoding", "urlsafe"], &given)?;
    only_utf8(&given)?;
    let text = python::string(&value)?;
    let alphabet = if given.yes("urlsafe") { BASE64URL } else { BASE64 };
    Ok(alphabet.encode(text.as_bytes()))
}

fn b64decode(value: Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let given = Arguments::new(&["encoding", "urlsafe"], &given)?;
    only_utf8(&given)?;
    let text = python::string(&value)?;
    let alphabet = if given.yes("urlsafe") { BASE64URL } else { BASE64 };
    // As Python's, which skips what is no letter of base64.
    let text: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let bytes = alphabet.decode(&text).map_err(|_| fault("it is no base64"))?;
    String::from_utf8(bytes).map_err(|_| fault("what the base64 holds is no UTF-8 text"))
}

fn only_utf8(given: &Arguments) -> Result<(), Error> {
    let encoding = given.text("encoding")?.map(|name| name.to_lowercase());
    match encoding.as_deref() {
        None | Some("utf-8" | "utf8" | "ascii" | "us-ascii") => Ok(()),
        Some(other) => Err(fault(format!("the encoding `{other}` is not known; utf-8 is"))),
    }
}
