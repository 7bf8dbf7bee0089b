//! `floe login`: a fresh key, certified for half a day by a signature of the login key.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use floe_proto::certificate::Certificate;
use floe_proto::digest::Digest;
use floe_proto::envelope::Envelope;
use floe_proto::id::Fleet;
use floe_proto::login::{SCHEMA, TYPE};
use floe_proto::pb;
use floe_proto::spiffe::{self, Subject};
use floe_proto::time::Timestamp;
use floe_proto::transport;
use rcgen::{CertificateParams, KeyPair};
use zeroize::Zeroizing;

use super::context::Context;
use super::end::{End, Stopped};
use super::view::operator::LoginView;
use crate::durable::write_file;
use crate::enrol::ca;
use crate::repository::Repository;
use crate::signing::{KeySource, Signer};

/// Log in: a certificate for half a day, signed for by your login key
///
/// Makes a fresh key, asks for its certificate, and writes both into the credentials
/// directory. The login key is the one that an admin put on record with `floe operators
/// add`; it may be encrypted, come in FLOE_SIGNING_KEY, or lie behind a signer command, so
/// that it works in CI without anybody there. The first time the fleet's ca.pem is needed.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Login {
    /// Your name as an operator [default: `operator.name` of floe.toml, else whose
    /// certificate is there]
    #[arg(env = "FLOE_OPERATOR", hide_env_values = true)]
    name: Option<String>,

    /// Your login key [default: `operator.key` of floe.toml, else what signs bundles]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// The fleet's CA, the first time [default: ca.pem in the credentials directory]
    #[arg(long, env = "FLOE_CA", hide_env_values = true, value_name = "FILE")]
    ca: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  floe login ada --key ada.pem --ca ca.pem --credentials ~/.floe   # the first time
  floe login                                                       # every morning
  FLOE_SIGNING_KEY=\"$KEY\" floe login ci --ca ca.pem                # in CI, without a prompt";

impl Login {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        let repository = context.repository()?;
        let credentials = context.credentials(Some(&repository));
        let directory = credentials.unwrap_or_else(|| repository.credentials());
        let owner = owner(&directory);
        let name = self.name(&repository, owner.as_deref())?;
        if let Some(owner) = owner.filter(|owner| *owner != name) {
            return Err(Stopped::failed(
                format!("`{}` holds the credentials of `{owner}`, not of `{name}`", directory.display()),
                "name a directory of your own with --credentials or `operator.credentials` in floe.toml",
            )
            .into());
        }
        let ca = self.ca(&directory)?;
        let signer = self.signer(&repository, context)?;

        let key = KeyPair::generate()?;
        let csr = CertificateParams::default().serialize_request(&key)?;
        let fleet = &repository.file().fleet;
        let envelope = signed(fleet, &name, csr.der(), &signer, context.now()).await?;
        let roots = transport::certificates(&ca).context("the fleet's ca.pem cannot be used")?;
        let stranger = context.connect_as_stranger(&repository, roots).await?;
        let request = pb::LogInRequest {
            operator: name.clone(),
            certificate_request: csr.der().to_vec(),
            login_envelope: envelope,
        };
        let refusal = stranger.refusal(&format!("log in as `{name}`"));
        let reply = stranger.login().log_in(request).await.map_err(refusal)?.into_inner();

        write(&directory, &ca, &key, &reply.chain)?;
        context.print(&LoginView {
            operator: name,
            role: reply.role,
            expires: Timestamp::from_micros(reply.expires),
            credentials: directory.display().to_string(),
        })?;
        Ok(End::Done)
    }

    fn name(&self, repository: &Repository, owner: Option<&str>) -> anyhow::Result<String> {
        let said = self.name.as_deref().or_else(|| repository.file().operator.as_deref()).or(owner);
        let Some(name) = said else {
            return Err(Stopped::failed(
                "it is not known who logs in",
                "`floe login NAME`, or say `operator.name` in floe.toml",
            )
            .into());
        };
        if spiffe::is_operator(name) {
            return Ok(name.to_owned());
        }
        let shown: String = name.chars().take(80).flat_map(char::escape_debug).collect();
        let what = format!("`{shown}` is no operator's name");
        Err(Stopped::failed(what, "a name is 1 to 63 of `a-z`, `0-9`, `.`, `_`, `-`").into())
    }

    fn ca(&self, directory: &Path) -> anyhow::Result<Vec<u8>> {
        let path = self.ca.clone().unwrap_or_else(|| directory.join("ca.pem"));
        fs::read(&path).map_err(|_| {
            Stopped::failed(
                format!("could not read the fleet's CA `{}`", path.display()),
                "give --ca FILE; an admin finds it as ca.pem beside their own certificate",
            )
            .into()
        })
    }

    /// May ask for a passphrase.
    fn signer(&self, repository: &Repository, context: &Context) -> anyhow::Result<Signer> {
        let typed = self.key.clone().or_else(|| repository.login_key());
        let typed: Vec<_> = typed.into_iter().collect();
        let environment = context.environment();
        let sources = KeySource::choose(&typed, repository.signing(), environment);
        let source = sources
            .first()
            .ok_or_else(|| Stopped::failed("there is no key to log in with", "give --key FILE"))?;
        Ok(source.open(environment)?)
    }
}

/// What says that `name` wants a certificate for the key of `csr`.
async fn signed(
    fleet: &Fleet,
    name: &str,
    csr: &[u8],
    signer: &Signer,
    now: Timestamp,
) -> anyhow::Result<Vec<u8>> {
    let login = floe_proto::login::Login {
        schema: SCHEMA,
        fleet: fleet.clone(),
        operator: name.to_owned(),
        request: Digest::of(csr),
        created: now.whole_seconds(),
    };
    let mut envelope = Envelope::unsigned(TYPE, login.to_bytes()?);
    signer.sign_envelope(&mut envelope).await?;
    Ok(envelope.to_bytes()?)
}

/// Whose certificate lies in `directory`, if one does.
fn owner(directory: &Path) -> Option<String> {
    let chain = transport::certificates(&fs::read(directory.join("cert.pem")).ok()?).ok()?;
    match Certificate::read(chain.first()?).ok()?.id.subject {
        Subject::Operator(name) => Some(name),
        Subject::Host(_) | Subject::Control => None,
    }
}

/// Writes `ca.pem`, `key.pem` (0600) and `cert.pem`, the certificate last: it says that
/// the three are whole.
fn write(directory: &Path, ca: &[u8], key: &KeyPair, chain: &[Vec<u8>]) -> anyhow::Result<()> {
    let unwritten = || format!("could not write credentials into `{}`", directory.display());
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.with_context(unwritten)?;
    let chain: String = chain.iter().map(|der| ca::pem("CERTIFICATE", der)).collect();
    let key = Zeroizing::new(key.serialize_pem());
    for (name, bytes, mode) in [
        ("ca.pem", ca, 0o644),
        ("key.pem", key.as_bytes(), 0o600),
        ("cert.pem", chain.as_bytes(), 0o644),
    ] {
        write_file(&directory.join(name), bytes, mode).with_context(unwritten)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use floe_proto::key::SecretKey;
    use floe_proto::verify;

    use super::*;
    use crate::clock;
    use crate::enrol::ca::{Authority, RequestedKey};

    #[tokio::test]
    async fn what_is_signed_is_what_the_control_plane_believes() {
        let key = SecretKey::from_seed(&[7; 32]);
        let (public, fleet): (_, Fleet) = (key.public(), "fossable.org".parse().unwrap());
        let now = clock::now();
        let envelope = signed(&fleet, "ada", b"csr", &Signer::Key(key), now).await.unwrap();
        let login = verify::login(&envelope, &public, &fleet, b"csr", now).unwrap();
        assert_eq!(login.operator, "ada");
    }

    #[test]
    fn whose_credentials_they_are_is_known_and_the_key_is_theirs_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (fleet, now): (Fleet, _) = ("fossable.org".parse().unwrap(), clock::now());
        let authority = Authority::open(directory.path(), &fleet, now).unwrap();
        let key = KeyPair::generate().unwrap();
        let csr = CertificateParams::default().serialize_request(&key).unwrap();
        let requested = RequestedKey::from_request(csr.der()).unwrap();
        let issued = authority.issue_login("ada", &requested, now).unwrap();
        let credentials = directory.path().join("new/ada");
        assert_eq!(owner(&credentials), None);
        let ca = authority.root_pem().as_bytes();
        write(&credentials, ca, &key, &[issued.certificate.to_vec()]).unwrap();
        assert_eq!(owner(&credentials).as_deref(), Some("ada"));
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&credentials.join("key.pem")), 0o600);
        assert_eq!(mode(&credentials), 0o700);
    }
}
