//! The operator's machine where it has Nix: a store of its own at `/nix`, and the programs
//! that hosts have, so that what is built there is what hosts would build.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::operator::Operator;
use crate::script;

/// Where the store of a world's operators is, and what they build with. Both are mounted
/// for one command, in a namespace of its own.
#[derive(Clone, Debug)]
pub(crate) struct Builder {
    base: PathBuf,
}

impl Operator {
    /// The same at a machine with Nix, whose store has the agent's release, as if it had
    /// been downloaded.
    pub async fn who_builds(&self) -> Self {
        let base = script::run(&mut Command::new(script::world_script("prepare"))).await;
        let operator = Self { builder: Some(Builder { base: base.into() }), ..self.clone() };
        let pack = script::world_script("release");
        let archive = script::run(Command::new(pack).arg(script::agent())).await;
        operator.types(&["nix-store", "--add-fixed", "sha256", &archive]).await;
        operator
    }

    /// Makes a key for a binary cache; gives the file of its secret half, and its public
    /// half.
    ///
    /// # Panics
    ///
    /// Where it cannot be made.
    pub async fn makes_cache_key(&self, name: &str) -> (String, String) {
        let file = |end| self.world.join(format!("{name}.{end}")).to_str().unwrap().to_owned();
        let (secret, public) = (file("sec"), file("pub"));
        self.types(&["nix-store", "--generate-binary-cache-key", name, &secret, &public]).await;
        (secret, std::fs::read_to_string(public).unwrap().trim().to_owned())
    }

    /// Types something else than `floe`; gives what it printed.
    pub async fn types(&self, command: &[&str]) -> String {
        script::run(&mut self.at_the_machine(command[0].as_ref(), &command[1..])).await
    }
}

impl Builder {
    /// What stands before a command so that it runs on this machine.
    pub(crate) fn enter(&self, world: &Path, command: &mut Command) {
        command
            .env("FLOE_NIX", world.join("nix"))
            .env("FLOE_BASE", &self.base)
            .env("NIX_CONFIG", "build-users-group =\nsandbox = false\nsubstituters =")
            .args(["unshare", "--mount", "sh", "-euc", MOUNT, "builder"]);
    }
}

/// `/usr` comes last: `mount` is in it.
const MOUNT: &str = r#"
mkdir -p "$FLOE_NIX" /nix
mount --bind "$FLOE_NIX" /nix
mount --bind "$FLOE_BASE/opt" /opt
mount --bind "$FLOE_BASE/usr" /usr
exec "$@"
"#;
