//! How a vault is written: a header, and hexadecimal lines of 80 columns.
//!
//! As `lib/ansible/parsing/vault/__init__.py` of ansible-core has it. The body is
//! hexadecimal twice, which is what history made of it.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

use super::error::Error;

/// What every vault begins with.
const HEADER: &str = "$ANSIBLE_VAULT";

/// The vault id that is not written down.
const DEFAULT_LABEL: &str = "default";

/// The columns of a line.
const COLUMNS: usize = 80;

/// What the lines of a vault say.
pub(super) struct Body {
    pub(super) salt: Vec<u8>,
    pub(super) hmac: Vec<u8>,
    /// Is decrypted where it lies, so it is wiped.
    pub(super) ciphertext: Zeroizing<Vec<u8>>,
}

/// Whether `bytes` are a vault, of whatever format.
pub fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(HEADER.as_bytes())
}

/// The vault id that a vault carries, so that it can be sealed again under the same.
///
/// # Errors
///
/// [`Error`] where the first line is no header that we know.
pub fn label(bytes: &[u8]) -> Result<Option<String>, Error> {
    Ok(header(lines(bytes)?.0)?.map(str::to_owned))
}

/// Reads a vault.
pub(super) fn parse(bytes: &[u8]) -> Result<Body, Error> {
    let (first, rest) = lines(bytes)?;
    header(first)?;
    // Where it was pasted into YAML or mail, lines carry spaces and ends of other systems.
    let outer: Vec<u8> = rest.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let inner = unhex(&outer, "its lines are not whole hexadecimal")?;
    let mut parts = inner.splitn(3, |byte| *byte == b'\n');
    let (Some(salt), Some(hmac), Some(ciphertext)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(Error::Damaged("salt, authentication code and data are not all there"));
    };
    Ok(Body {
        salt: unhex(salt, "its salt is not hexadecimal")?,
        hmac: unhex(hmac, "its authentication code is not hexadecimal")?,
        ciphertext: Zeroizing::new(unhex(ciphertext, "its data is not whole hexadecimal")?),
    })
}

/// Writes a vault; without a label, or with Ansible's own, in format 1.1.
pub(super) fn write(body: &Body, label: Option<&str>) -> Result<String, Error> {
    let hex = |bytes: &[u8]| HEXLOWER.encode(bytes);
    let inner = [hex(&body.salt), hex(&body.hmac), hex(&body.ciphertext)].join("\n");
    let outer = hex(inner.as_bytes());
    let mut text = match label.filter(|label| *label != DEFAULT_LABEL) {
        None => format!("{HEADER};1.1;AES256\n"),
        Some(label) if is_label(label) => format!("{HEADER};1.2;AES256;{label}\n"),
        Some(label) => return Err(Error::Label { label: label.chars().take(80).collect() }),
    };
    let mut rest = outer.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(COLUMNS));
        text.push_str(line);
        text.push('\n');
        rest = next;
    }
    Ok(text)
}

/// The first line, and what follows it.
fn lines(bytes: &[u8]) -> Result<(&str, &str), Error> {
    if !is_sealed(bytes) {
        return Err(Error::NotSealed);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Error::Damaged("it is not plain text"))?;
    Ok(text.split_once(['\n', '\r']).unwrap_or((text, "")))
}

/// The label of a header, which must be one that we know.
fn header(line: &str) -> Result<Option<&str>, Error> {
    let shown = |text: &str| text.chars().take(40).collect();
    let mut parts = line.split(';').map(str::trim);
    let (Some(HEADER), Some(version), Some(cipher)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(Error::Header);
    };
    if !matches!(version, "1.1" | "1.2") {
        return Err(Error::Version { found: shown(version) });
    }
    if cipher != "AES256" {
        return Err(Error::Cipher { found: shown(cipher) });
    }
    Ok(parts.next().filter(|label| !label.is_empty()))
}

fn is_label(label: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    (1..=64).contains(&label.len()) && label.chars().all(plain)
}

fn unhex(text: &[u8], otherwise: &'static str) -> Result<Vec<u8>, Error> {
    HEXLOWER_PERMISSIVE.decode(text).map_err(|_| Error::Damaged(otherwise))
}
