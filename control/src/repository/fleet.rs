//! `floe.toml`: which fleet this is, where its control plane is, and whose key signs.
//!
//! ```toml
//! fleet = "fossable.org"
//! server = "https://127.0.0.1:7443"
//! vault_password_file = ".password"   # of group_vars/all/vault; run where it is executable
//!
//! [signing]
//! key = "keys/release.pem"         # relative to the repository, or absolute; or
//! keys = ["keys/ada.pem"]          # several, who all sign
//!
//! cache_key = ".floe/cache.sec"     # Nix' own; signs the store paths of closures
//!
//! [[signing.signer]]               # a program that signs (KMS, token), which may be repeated
//! public = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
//! command = ["./sign-with-token", "--slot", "9c"]
//!
//! [certificates]
//! host_lifetime = "24h"            # of `floe serve`'s; hosts renew at half of it
//!
//! [secrets]
//! escrow = true                    # seal to the control plane too, for hosts that come by themselves
//! age_recipients = ["age1…"]       # to whom `floe secrets` encrypts files of age
//! not_secret = ["db.user"]         # sealed variables that may stand in a bundle: ordinary words
//!
//! [operator]
//! credentials = ".floe/operator/admin"   # holds ca.pem, cert.pem and key.pem
//! name = "ada"                     # who `floe login` logs in
//! key = "keys/ada.pem"             # with which key; without it, with what signs bundles
//! ```
//!
//! `[aws]`, which instances of EC2 may enrol, is in [`super::aws`]; `[serve]` in [`super::serve`].

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use age::x25519::Recipient;
use floe_proto::id::Fleet;
use floe_proto::key::PublicKey;
use hyper::Uri;
use serde::Deserialize;

use super::aws::RawAws;
use super::duration::Span;
use super::error::Error;
use super::fault::Faults;
use super::serve::ServeFile;
use super::toml_file;
use crate::enrol::attest::AwsConfig;

/// Its name.
pub const FILE: &str = "floe.toml";

/// What `floe.toml` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetFile {
    /// The fleet that the repository describes.
    pub fleet: Fleet,
    /// The control plane: `https://HOST[:PORT]`.
    pub server: String,
    /// The file with the password of the vault; relative to the repository unless absolute.
    pub vault_password_file: Option<PathBuf>,
    /// What signs bundles.
    pub signing: Signing,
    /// The directory of the operator's certificate; likewise.
    pub credentials: PathBuf,
    /// Who logs in, where it is said.
    pub operator: Option<String>,
    /// The file of the key that logs in, where that is not one that signs; likewise.
    pub login_key: Option<PathBuf>,
    /// How long certificates of hosts live; the control plane's default where it is
    /// not said.
    pub host_lifetime: Option<Span>,
    /// Whose instances of EC2 may enrol.
    pub aws: AwsConfig,
    /// Whether secrets are sealed to the control plane as well.
    pub escrow: bool,
    /// To whom files of age are encrypted.
    pub age_recipients: Vec<Recipient>,
    /// The sealed variables that may stand in a bundle.
    pub not_secret: Vec<String>,

    /// Where the control plane keeps things and is reached.
    pub serve: ServeFile,
}

/// What signs bundles: all of these do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// Files with release keys; relative to the repository unless absolute.
    pub keys: Vec<PathBuf>,
    /// Programs that have one.
    pub signers: Vec<SignerEntry>,
    /// The secret key of a binary cache, which signs store paths; relative likewise.
    pub cache_key: Option<PathBuf>,
}

/// A program that signs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerEntry {
    /// The key that it signs with.
    pub public: PublicKey,
    /// Program and arguments, at least one word.
    pub command: Vec<String>,
}

impl FleetFile {
    /// Reads `path`.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(&toml_file::text(path)?, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let (raw, document): (Raw, _) = toml_file::parse(text, path)?;
        let mut faults = Faults::default();
        let fleet = faults.take("fleet", raw.fleet.parse::<Fleet>());
        if let Some(fault) = server_fault(&raw.server) {
            faults.add("server", fault);
        }
        if raw.operator.credentials.as_os_str().is_empty() {
            faults.add("operator.credentials", "it is empty".into());
        }
        let signing = raw.signing.checked(&mut faults);
        if raw.certificates.host_lifetime.is_some_and(|span| !HOST_LIFETIMES.contains(&span)) {
            faults.add("certificates.host_lifetime", "it must be from 10s to 90d".into());
        }
        let aws = raw.aws.checked(&mut faults);
        let age_recipients = raw.secrets.age_recipients(&mut faults);
        match fleet {
            Some(fleet) if faults.is_empty() => Ok(Self {
                fleet,
                server: raw.server.trim_end_matches('/').to_owned(),
                vault_password_file: raw.vault_password_file,
                signing,
                credentials: raw.operator.credentials,
                operator: raw.operator.name,
                login_key: raw.operator.key,
                host_lifetime: raw.certificates.host_lifetime,
                aws,
                escrow: raw.secrets.escrow,
                age_recipients,
                not_secret: raw.secrets.not_secret,
                serve: raw.serve,
            }),
            Some(_) | None => Err(document.wrong(path, faults)),
        }
    }
}

/// What is wrong with the URL of a control plane, if anything is.
pub(crate) fn server_fault(url: &str) -> Option<String> {
    let sound = url.parse::<Uri>().is_ok_and(|uri| {
        uri.scheme_str() == Some("https")
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none()
    });
    let shown: String = url.chars().take(80).collect();
    (!sound).then(|| format!("`{shown}` is no URL of a control plane; expected https://HOST:PORT"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    fleet: String,
    server: String,
    vault_password_file: Option<PathBuf>,
    #[serde(default)]
    signing: RawSigning,
    #[serde(default)]
    operator: Operator,
    #[serde(default)]
    certificates: Certificates,
    #[serde(default)]
    aws: RawAws,
    #[serde(default)]
    secrets: RawSecrets,
    #[serde(default)]
    serve: ServeFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawSecrets {
    escrow: bool,
    age_recipients: Vec<String>,
    not_secret: Vec<String>,
}

impl Default for RawSecrets {
    fn default() -> Self {
        Self { escrow: true, age_recipients: Vec::new(), not_secret: Vec::new() }
    }
}

impl RawSecrets {
    fn age_recipients(&self, faults: &mut Faults) -> Vec<Recipient> {
        let mut found = Vec::new();
        for (at, text) in self.age_recipients.iter().enumerate() {
            let name = format!("secrets.age_recipients #{}", at + 1);
            match text.parse::<Recipient>() {
                Ok(recipient) => found.push(recipient),
                // Its line is not shown, so that it ends in no log.
                Err(_) if text.starts_with("AGE-SECRET-KEY-") => {
                    let fault = "a private key is among age_recipients; name its public one, and \
                                 make another of this";
                    faults.add("secrets", fault.into());
                }
                Err(_) => {
                    let shown: String = text.chars().take(80).collect();
                    let fault = format!("`{shown}` is no recipient of age; expected `age1…`");
                    faults.add(&name, fault);
                }
            }
        }
        found
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Certificates {
    host_lifetime: Option<Span>,
}

/// Below, hosts would do nothing but renew; above, a certificate that was lost is good
/// for too long.
const HOST_LIFETIMES: RangeInclusive<Span> = Span::seconds(10)..=Span::seconds(90 * 24 * 3600);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawSigning {
    key: Option<PathBuf>,
    keys: Option<Vec<PathBuf>>,
    signer: Vec<SignerEntry>,
    cache_key: Option<PathBuf>,
}

impl RawSigning {
    fn checked(self, faults: &mut Faults) -> Signing {
        let Self { key, keys, signer: signers, cache_key } = self;
        let keys = match (key, keys) {
            (Some(_), Some(_)) => {
                let fault = "it has both `key` and `keys`; say all of them in `keys`";
                faults.add("signing", fault.into());
                Vec::new()
            }
            (Some(key), None) => vec![key],
            (None, Some(keys)) => keys,
            (None, None) if signers.is_empty() => vec![DEFAULT_KEY.into()],
            (None, None) => Vec::new(),
        };
        for (at, path) in keys.iter().enumerate() {
            if path.as_os_str().is_empty() {
                faults.add("signing.key", "it is empty".into());
            }
            if keys[..at].contains(path) {
                let fault = format!("`{}` is there twice", path.display());
                faults.add(&format!("signing.keys #{}", at + 1), fault);
            }
        }
        if keys.is_empty() && signers.is_empty() {
            let fault = "nothing signs; name `key`, `keys` or a `[[signing.signer]]`";
            faults.add("signing", fault.into());
        }
        for (at, entry) in signers.iter().enumerate() {
            if entry.command.first().is_none_or(String::is_empty) {
                let name = format!("signing.signer #{}.command", at + 1);
                faults.add(&name, "it names no program".into());
            }
        }
        if cache_key.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            faults.add("signing.cache_key", "it is empty".into());
        }
        Signing { keys, signers, cache_key }
    }
}

/// Where `floe init` puts the first key.
pub const DEFAULT_KEY: &str = "keys/release.pem";

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Operator {
    credentials: PathBuf,
    name: Option<String>,
    key: Option<PathBuf>,
}

impl Default for Operator {
    fn default() -> Self {
        Self { credentials: ".floe/operator/admin".into(), name: None, key: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FleetFile, String> {
        FleetFile::parse(text, Path::new("floe.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn the_least_that_must_be_said_is_fleet_and_server() {
        let file = parse("fleet = 'fossable.org'\nserver = 'https://127.0.0.1:7443/'").unwrap();
        assert_eq!(file.server, "https://127.0.0.1:7443");
        assert_eq!(file.signing.keys, [Path::new("keys/release.pem")]);
        assert!(file.signing.signers.is_empty());
        assert_eq!(file.credentials, Path::new(".floe/operator/admin"));
    }

    #[test]
    fn all_faults_of_values_come_at_once_with_the_name_of_the_file() {
        let error = parse("fleet = 'A B'\nserver = 'http://x'\n[signing]\nkey = ''").unwrap_err();
        assert!(
            error.starts_with("`floe.toml` is not right: line 1: fleet: `A B` is no fleet"),
            "{error}"
        );
        assert!(error.contains("; line 2: server: `http://x` is no URL"), "{error}");
        assert!(error.ends_with("; line 4: signing.key: it is empty"), "{error}");
    }

    const LEAST: &str = "fleet = 'a.b'\nserver = 'https://x'\n";
    const SIGNER: &str = "[[signing.signer]]\ncommand = ['./sign', '9c']\n\
                          public = 'A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg='\n";

    #[test]
    fn several_keys_sign_and_programs_too() {
        let signing = |text: &str| parse(&format!("{LEAST}{text}")).map(|file| file.signing);
        let both = signing(&format!("[signing]\nkeys = ['a', '/b']\n{SIGNER}")).unwrap();
        assert_eq!(both.keys, [Path::new("a"), Path::new("/b")]);
        assert_eq!(both.signers[0].command, ["./sign", "9c"]);
        // No key in a file where only a program was named.
        assert!(signing(SIGNER).unwrap().keys.is_empty());
    }

    #[test]
    fn what_would_not_sign_is_a_fault() {
        let fault = |text: &str| parse(&format!("{LEAST}{text}")).unwrap_err();
        assert!(fault("signing = { key = 'a', keys = ['b'] }").contains("both `key` and `keys`"));
        assert!(fault("signing = { keys = ['b', 'b'] }").contains("`b` is there twice"));
        assert!(fault("signing = { cache_key = '' }").contains("signing.cache_key: it is empty"));
        assert!(fault("signing = { keys = [] }").contains("nothing signs"));
        let no_program = SIGNER.replace("['./sign', '9c']", "[]");
        assert!(fault(&no_program).contains("names no program"));
        let no_key = SIGNER.replace("A6EHv", "xxxxx");
        assert!(fault(&no_key).contains("no Ed25519 key"), "{}", fault(&no_key));
    }

    #[test]
    fn certificates_of_hosts_live_for_a_bounded_time() {
        let with = |span: &str| {
            let least = "fleet = 'fossable.org'\nserver = 'https://x'\n[certificates]\n";
            parse(&format!("{least}host_lifetime = '{span}'"))
        };
        assert_eq!(with("20s").unwrap().host_lifetime, Some(Span::seconds(20)));
        for bad in ["9s", "91d"] {
            assert!(with(bad).unwrap_err().contains("from 10s to 90d"), "{bad}");
        }
    }

    #[test]
    fn a_control_plane_is_told_where_to_listen() {
        let serve = |text: &str| parse(&format!("{LEAST}{text}")).map(|file| file.serve);
        let all = "[serve]\ndata = '/d'\nlisten = '[::]:1'\npublic_url = 'https://x'\n\
                   objects_listen = '127.0.0.1:2'\nobjects_url = 'https://y'";
        let file = serve(all).unwrap();
        assert_eq!(file.listen, "[::]:1".parse().ok());
        assert_eq!(file.objects_url.as_deref(), Some("https://y"));
        assert_eq!(serve("").unwrap(), ServeFile::default());
        let fault = serve("[serve]\nlisten = '7443'").unwrap_err();
        assert!(fault.contains("line 4: invalid socket address"), "{fault}");
    }

    #[test]
    fn what_is_not_known_is_refused_with_its_line() {
        let error = parse("fleet = 'a'\nserver = 'https://x'\nsever = 1").unwrap_err();
        assert!(error.contains("line 3: unknown field `sever`"), "{error}");
    }

    #[test]
    fn a_control_plane_is_spoken_to_by_https_only() {
        for bad in ["", "x", "http://x", "https://", "https://a@b", "https://x/path", "https://x?q"]
        {
            assert!(server_fault(bad).is_some(), "{bad}");
        }
        assert_eq!(server_fault("https://[::1]:7443"), None);
    }
}
