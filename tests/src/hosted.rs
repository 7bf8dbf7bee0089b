//! A control plane as operators have it: on a machine of its own, in the unit that
//! `nixos/control.nix` makes, with its own fleet.

use std::fs;
use std::path::Path;

use tokio::process::Command;

use crate::host::Host;
use crate::operator::Operator;
use crate::repository::Repository;
use crate::script;
use crate::world::{self, World};

/// The role of the machine that it is on.
const ROLE: &str = "control.fossable.org";

/// What only its unit may read.
pub const AWS_CREDENTIALS: &str = "[default]\naws_access_key_id = AKIDEXAMPLE\n";

/// A machine with a control plane, and the repository of its fleet.
#[derive(Debug)]
pub struct Hosted {
    /// Where it runs.
    pub machine: Host,
    /// Its fleet.
    pub repository: Repository,
}

impl Hosted {
    /// Boots one beside what there is in `world`, with an operator's credentials fetched.
    ///
    /// # Panics
    ///
    /// Where it cannot be had.
    pub async fn boot(world: &World) -> Self {
        let name = "control-plane";
        let address = script::run(world::net(world.path()).args(["add", name])).await;
        let server = format!("https://{address}:7443");
        let credentials = ".floe/operator/admin";
        let repository = Repository::create_for(world.path(), "hosted", &server, credentials).await;
        describe(&repository, &server).await;
        let image = world::image(&repository, ROLE).await;
        let secret = world.path().join("aws-credentials");
        fs::write(&secret, AWS_CREDENTIALS).unwrap();
        let files = vec![format!("{}:/etc/floe-aws-credentials:0600", secret.display())];
        let mut machine = Host::new(world.path(), name, &image, files);
        machine.boot().await;
        machine.shell("systemctl start floe.service").await;
        let hosted = Self { machine, repository };
        hosted.fetch_credentials(credentials).await;
        hosted
    }

    /// Its operator.
    pub fn operator(&self, world: &World) -> Operator {
        world.operator().in_repository(self.repository.path().to_owned())
    }

    /// A host of its fleet that is off, with `token` on its disk.
    ///
    /// # Panics
    ///
    /// Where its image cannot be made.
    pub async fn host(&self, world: &World, name: &str, role: &str, token: &str) -> Host {
        let ca = self.repository.path().join(".floe/operator/admin/ca.pem");
        let mut files = world::pinned(&ca, &self.repository.path().join("trust.json"));
        files.push(world::joining(world.path(), &format!("local-{name}"), token));
        let image = world::image(&self.repository, role).await;
        Host::new(world.path(), name, &image, files)
    }

    /// Copies what the first start wrote for the first operator, as one does by hand.
    async fn fetch_credentials(&self, to: &str) {
        let to = self.repository.path().join(to);
        fs::create_dir_all(&to).unwrap();
        for file in ["ca.pem", "cert.pem", "key.pem"] {
            let line = format!("cat /var/lib/floe-control/operator/admin/{file}");
            write_secret(&to.join(file), &self.machine.shell(&line).await);
        }
    }
}

fn write_secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, format!("{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Lays the machine's configuration into the repository, with the built `floe`.
async fn describe(repository: &Repository, server: &str) {
    let role = repository.path().join("hosts").join(ROLE);
    fs::create_dir_all(&role).unwrap();
    let template = script::repository_root().join("tests/control/configuration.nix");
    fs::copy(template, role.join("configuration.nix")).unwrap();
    fs::copy(repository.path().join("trust.json"), role.join("trust.json")).unwrap();
    fs::write(role.join("site.nix"), format!("{{server = \"{server}\";}}\n")).unwrap();
    // Without what a debugger wants: it is copied three times.
    let mut strip = Command::new("strip");
    script::run(strip.arg("-o").arg(role.join("floe")).arg(script::floe())).await;
}
