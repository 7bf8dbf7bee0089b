//! `floe init`: begins a fleet repository. What is there already is left as it is.

use std::path::PathBuf;

use clap::Args;
use floe_proto::id::{Fleet, Role};

use super::context::Context;
use super::end::End;
use super::files::{Choices, Files};
use super::init_text;
use super::view::init::InitView;
use crate::repository::{DEFAULT_KEY as KEY, FLEET_FILE, HOST_FILE, HOSTS, LOCK_FILE};

/// Begin a fleet repository: settings, a signing key, a trust root, an example
///
/// The key signs bundles and, for a start, the trust root too. Nothing that is there
/// already is overwritten.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Init {
    /// Name of the fleet: its domain
    fleet: Fleet,

    /// Where to begin it
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,

    /// Also write an example role
    #[arg(long, value_name = "ROLE")]
    example: Option<Role>,

    /// Keep no escrow: secrets are sealed to hosts alone, and not to the control plane
    ///
    /// Hosts that come by themselves (Auto Scaling) then get theirs by the next
    /// `floe secrets seal`, and not before.
    #[arg(long)]
    no_escrow: bool,

    /// Leave the key in the clear; else it is encrypted where a passphrase is set or typed
    #[arg(long)]
    no_passphrase: bool,
}

const EXAMPLES: &str = "\
Examples:
  floe init fossable.org --dir fossable.org --example www.fossable.org";

impl Init {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<End> {
        let keys = Choices {
            escrow: !self.no_escrow,
            no_passphrase: self.no_passphrase,
            environment: context.environment(),
        };
        let mut files = Files::new(&self.dir);
        files.directory("")?;
        let directory = self.dir.canonicalize().unwrap_or_else(|_| self.dir.clone());

        let key = files.fleet(&self.fleet, &keys, context.now())?;
        files.write(LOCK_FILE, init_text::lock_stub(None).as_bytes())?;
        let role = self.example.as_ref();
        if let Some(role) = role {
            example(&mut files, &self.fleet, role)?;
        }
        context.print(&InitView {
            fleet: self.fleet.to_string(),
            directory: directory.display().to_string(),
            key_id: key.public().id().to_string(),
            created: files.created,
            kept: files.kept,
            next: next(role.map_or("ROLE", |role| role.as_str())),
        })?;
        Ok(End::Done)
    }
}

fn next(role: &str) -> Vec<String> {
    vec![
        format!("back up {KEY}: who has it decides what your hosts run"),
        format!("pin nixpkgs and the modules of floe in {LOCK_FILE}"),
        format!("describe your hosts in {HOSTS}/{role}/"),
        format!("say in {FLEET_FILE} how they reach the control plane, and start it: floe serve"),
        format!("let a machine join: floe hosts token {role} --host local-NAME --out join.toml"),
        format!("push: floe push {role} --watch"),
    ]
}

fn example(files: &mut Files, fleet: &Fleet, role: &Role) -> anyhow::Result<()> {
    let directory = format!("{HOSTS}/{role}");
    files.write(&format!("{directory}/{HOST_FILE}"), init_text::HOST_EXAMPLE.as_bytes())?;
    let configuration = init_text::CONFIGURATION_EXAMPLE.as_bytes();
    files.write(&format!("{directory}/configuration.nix"), configuration)?;
    let agent = init_text::agent_example(fleet, role, "x86_64-linux");
    files.write(&format!("{directory}/floe.nix"), agent.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use floe_proto::time::Timestamp;
    use floe_proto::verify;

    use super::*;
    use crate::bundle::sign;
    use crate::cli::keys;
    use crate::repository::{Repository, TRUST_FILE};
    use crate::signing::Environment;

    fn now() -> Timestamp {
        "2026-11-22T20:28:00.5Z".parse().unwrap()
    }

    fn begin(directory: &Path) -> anyhow::Result<Files> {
        begin_as("fossable.org", directory)
    }

    fn begin_as(fleet: &str, directory: &Path) -> anyhow::Result<Files> {
        let fleet = fleet.parse().unwrap();
        let mut files = Files::new(directory);
        let environment = Environment::default();
        files.fleet(
            &fleet,
            &Choices { escrow: true, no_passphrase: false, environment: &environment },
            now(),
        )?;
        example(&mut files, &fleet, &"www".parse().unwrap())?;
        Ok(files)
    }

    #[test]
    fn what_is_begun_can_be_read() {
        let directory = tempfile::tempdir().unwrap();
        begin(directory.path()).unwrap();
        let repository = Repository::open(directory.path()).unwrap();
        let root = repository.trust().unwrap();
        assert_eq!(root.expires.to_string(), "2027-11-22T20:28:00Z");
        sign::release_signers(&repository.signing(), &root, &Environment::default()).unwrap();
        assert_eq!(repository.roles().len(), 1);
        // A role without the agent would be taken back by every host.
        let role = repository.role_directory(&"www".parse().unwrap()).unwrap();
        assert!(fs::read_to_string(role.join("configuration.nix")).unwrap().contains("./floe.nix"));
        let agent = fs::read_to_string(role.join("floe.nix")).unwrap();
        assert!(agent.contains("role = \"www\";") && agent.contains("<floe/agent.nix>"));
        repository.host_file(&"www".parse().unwrap()).unwrap();
    }

    #[test]
    fn a_second_time_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        begin(directory.path()).unwrap();
        let trust = fs::read(directory.path().join(TRUST_FILE)).unwrap();
        let again = begin(directory.path()).unwrap();
        assert_eq!(again.created, [""; 0]);
        assert_eq!(fs::read(directory.path().join(TRUST_FILE)).unwrap(), trust);
        assert!(verify::pinned_root(&trust).is_ok());
    }

    #[test]
    fn no_new_key_is_made_beside_a_trust_root() {
        let directory = tempfile::tempdir().unwrap();
        begin(directory.path()).unwrap();
        fs::remove_file(directory.path().join(KEY)).unwrap();
        assert!(begin(directory.path()).is_err());
        assert!(!directory.path().join(KEY).exists());
    }

    #[test]
    fn what_is_another_fleets_is_not_claimed() {
        let directory = tempfile::tempdir().unwrap();
        begin(directory.path()).unwrap();
        let error = begin_as("other.org", directory.path()).err().unwrap().to_string();
        assert!(error.contains("of the fleet `fossable.org`, not of `other.org`"), "{error}");
    }

    #[test]
    fn a_key_that_the_trust_root_does_not_list_is_not_called_believed() {
        let directory = tempfile::tempdir().unwrap();
        begin(directory.path()).unwrap();
        fs::remove_file(directory.path().join(KEY)).unwrap();
        keys::make(&directory.path().join(KEY), true, &Environment::default()).unwrap();
        let error = begin(directory.path()).err().unwrap().to_string();
        assert!(error.contains("is no release key of"), "{error}");
    }

    #[test]
    fn lines_of_a_gitignore_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".gitignore");
        fs::write(&path, "result\n/.floe/").unwrap();
        begin(directory.path()).unwrap();
        assert_eq!(
            fs::read_to_string(path).unwrap(),
            "result\n/.floe/\n/keys/*.pem\n/keys/*.sec\n"
        );
    }

    #[test]
    fn the_lock_stub_says_what_is_missing() {
        let lock = init_text::lock_stub(None).parse::<floe_proto::payload::lock::Lock>();
        let error = lock.unwrap_err().to_string();
        assert!(error.contains("nixpkgs"), "{error}");
    }
}
