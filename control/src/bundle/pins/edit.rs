//! A new URL and hash in the text of floe.lock; everything else, comments too, stays.

use floe_proto::payload::lock::Lock;
use floe_proto::payload::pin::{Pin, PinHash, PinName, PinUrl};
use toml_edit::{DocumentMut, Value};

use super::error::Error;

/// `text` with the pin `name` at `url` and `sha256`.
///
/// # Errors
///
/// [`Error::Changed`] where there is no such pin, or the result would say anything else.
pub fn edit(text: &str, name: &PinName, url: &PinUrl, sha256: &PinHash) -> Result<String, Error> {
    let changed = || Error::Changed { name: name.to_string() };
    let mut document: DocumentMut = text.parse().map_err(|_| changed())?;
    let pin = document.get_mut("pins").and_then(|pins| pins.get_mut(name.as_str()));
    let pin = pin.ok_or_else(changed)?;
    for (key, new) in [("url", url.as_str()), ("sha256", sha256.as_str())] {
        let value = pin.get_mut(key).and_then(|item| item.as_value_mut()).ok_or_else(changed)?;
        let decor = value.decor().clone();
        *value = Value::from(new);
        *value.decor_mut() = decor;
    }
    let edited = document.to_string();
    // What is read again is what counts.
    let (Ok(mut wanted), Ok(read)) = (text.parse::<Lock>(), edited.parse::<Lock>()) else {
        return Err(changed());
    };
    if let Some(Pin::Url { url: old_url, sha256: old_sha256, .. }) = wanted.pins.get_mut(name) {
        (*old_url, *old_sha256) = (url.clone(), sha256.clone());
    }
    if wanted == read { Ok(edited) } else { Err(changed()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "0zydsqiaz8qi4zd63zsb2gij2p614cgkcaisnk11wjy3nmiq0x1s";
    const NEW: &str = "1zydsqiaz8qi4zd63zsb2gij2p614cgkcaisnk11wjy3nmiq0x1s";

    fn text() -> String {
        format!(
            "# ours\nschema = 1   # the only one\n\n[pins.floe]\npath = 'nixos'\n\n\
             # do not touch before June\n[pins.nixpkgs]\nurl = \"https://a/old\"   # 24.11\n\
             sha256 = '{OLD}'\nfollow = \"https://a/channel\"\n"
        )
    }

    #[test]
    fn nothing_but_url_and_hash_is_changed() {
        let (url, hash) = ("https://a/new".parse().unwrap(), NEW.parse().unwrap());
        let edited = edit(&text(), &"nixpkgs".parse().unwrap(), &url, &hash).unwrap();
        let wanted =
            text().replace("a/old", "a/new").replace(&format!("'{OLD}'"), &format!("\"{NEW}\""));
        assert_eq!(edited, wanted);
        let inline = format!(
            "schema = 1\npins.nixpkgs = {{ url = 'https://a/old', sha256 = '{OLD}' }} # one line\n"
        );
        let edited = edit(&inline, &"nixpkgs".parse().unwrap(), &url, &hash).unwrap();
        assert!(edited.contains("a/new") && edited.ends_with("} # one line\n"), "{edited}");
    }

    #[test]
    fn a_pin_that_is_gone_or_a_path_is_not_made_up() {
        let (url, hash) = ("https://a/new".parse().unwrap(), NEW.parse().unwrap());
        for name in ["floe", "other"] {
            let edited = edit(&text(), &name.parse().unwrap(), &url, &hash);
            assert!(matches!(edited, Err(Error::Changed { .. })), "{name}");
        }
    }
}
