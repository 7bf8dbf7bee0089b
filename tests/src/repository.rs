//! The fleet's repository, and what its owner changes in it.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::aws::cloud::{ACCOUNT, ENDPOINT, REGION};
use crate::control_plane::{self, URL};
use crate::script;

/// A repository as `tests/fleet/` has it: the seed's configuration for each role.
#[derive(Clone, Debug)]
pub struct Repository {
    path: PathBuf,
}

impl Repository {
    /// Makes the repository `name` in the world: the template, and a fleet of its
    /// own, with keys and trust root from `floe init`.
    pub async fn create(world: &Path, name: &str) -> Self {
        let credentials = control_plane::data(world).join("operator/admin");
        Self::create_for(world, name, URL, credentials.to_str().unwrap()).await
    }

    /// The same for a control plane at `server`, whose first operator's credentials will lie in
    /// `credentials`.
    pub async fn create_for(world: &Path, name: &str, server: &str, credentials: &str) -> Self {
        let path = world.join(name);
        let mut fleet = Command::new(script::world_script("fleet"));
        script::run(fleet.arg(&path).arg(script::agent()).arg(server)).await;
        script::run(
            Command::new(script::floe()).args(["init", "fossable.org", "--dir"]).arg(&path),
        )
        .await;
        let repository = Self { path };
        repository.edit("floe.toml", "https://127.0.0.1:7443", server);
        repository.edit("floe.toml", ".floe/operator/admin", credentials);
        repository
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file of a role.
    pub fn file(&self, role: &str, name: &str) -> PathBuf {
        self.path.join("hosts").join(role).join(name)
    }

    /// Names the account on AWS that machines enrol from, with the certificate of its
    /// region.
    ///
    /// # Panics
    ///
    /// Where it cannot be written.
    pub fn add_aws(&self, certificate: &str) {
        let pem = self.path.join("aws.pem");
        fs::write(&pem, certificate).unwrap();
        let path = self.path.join("floe.toml");
        let text = fs::read_to_string(&path).unwrap();
        let aws = format!(
            "\n[aws]\naccounts = [\"{ACCOUNT}\"]\nregions = [\"{REGION}\"]\nendpoint = \"{ENDPOINT}\"\n\
             [[aws.certificates]]\nregion = \"{REGION}\"\nfile = \"aws.pem\"\n"
        );
        fs::write(path, text + &aws).unwrap();
    }

    /// Changes the configuration of `role` to the template's and this module's.
    ///
    /// # Panics
    ///
    /// Where it cannot be written.
    pub fn change(&self, role: &str, module: &str) {
        let text = format!("{{ config, lib, pkgs, ... }}:\n{{\n{module}\n}}\n");
        fs::write(self.file(role, "story.nix"), text).unwrap();
    }

    /// Changes `host.toml` of `role` by replacing `from`, which must be there.
    pub fn edit_host_toml(&self, role: &str, from: &str, to: &str) {
        self.edit(&format!("hosts/{role}/host.toml"), from, to);
    }

    /// Changes a file by replacing `from`, which must be there.
    ///
    /// # Panics
    ///
    /// Where it is not there.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no `{from}`:\n{text}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }
}
