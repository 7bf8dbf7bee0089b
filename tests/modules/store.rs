//! A Nix store of a test's own, and configurations that are made in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use floe_tests::script;
use tempfile::TempDir;

/// A store in a directory, and configurations beside it.
pub(crate) struct Store(TempDir);

/// What an operator writes for a host, beside the agent itself.
pub(crate) const HOST: &str = "services.floe-agent = {
    enable = true;
    package = pkgs.runCommand \"floe-agent\" {} ''
      mkdir -p $out/bin
      ln -s @agent@ $out/bin/floe-agent
    '';
    settings = {
      fleet = \"fossable.org\";
      role = \"www.fossable.org\";
      control_plane = \"https://floe.fossable.org:7443\";
    };
  };";

/// What an operator writes for a control plane.
pub(crate) const CONTROL: &str = "services.floe = {
    enable = true;
    package = pkgs.runCommand \"floe\" {} ''
      mkdir -p $out/bin
      ln -s @floe@ $out/bin/floe
    '';
    trustRoot = @trust@;
    settings = {
      fleet = \"fossable.org\";
      server = \"https://floe.fossable.org:7443\";
    };
  };";

impl Store {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Evaluates `attribute` of evaluate.nix for a configuration that imports `modules` of
    /// `nixos/` and has these parts; gives what is printed, or what was said against it.
    pub(crate) fn evaluate(
        &self,
        modules: &[&str],
        parts: &[&str],
        attribute: &str,
    ) -> Result<String, String> {
        let how = ["--eval", "--strict", "--json"];
        self.nix("nix-instantiate", &how, &self.configuration(modules, parts), attribute)
    }

    /// Builds it.
    pub(crate) fn build(
        &self,
        modules: &[&str],
        parts: &[&str],
        attribute: &str,
    ) -> Result<PathBuf, String> {
        let how = ["--no-out-link"];
        let built = self.nix("nix-build", &how, &self.configuration(modules, parts), attribute);
        built.map(|path| path.trim().into())
    }

    fn configuration(&self, modules: &[&str], parts: &[&str]) -> PathBuf {
        let root = script::repository_root();
        let ours = modules.iter().map(|name| format!("{}/nixos/{name}", root.display()));
        let theirs = parts.iter().map(|part| {
            let part = part
                .replace("@agent@", &script::agent().display().to_string())
                .replace("@floe@", &script::floe().display().to_string())
                .replace("@trust@", &self.trust_root().display().to_string());
            format!("({{ config, lib, pkgs, ... }}: {{ {part} }})")
        });
        let imports: Vec<String> = ours.chain(theirs).collect();
        let imports = imports.join("\n    ");
        let disk = "boot.loader.grub.device = lib.mkDefault \"/dev/xvda\";";
        let file = self.0.path().join("configuration.nix");
        let module =
            format!("{{ lib, ... }}: {{\n  imports = [\n    {imports}\n  ];\n  {disk}\n}}\n");
        fs::write(&file, module).unwrap();
        file
    }

    /// A real one, made once.
    pub(crate) fn trust_root(&self) -> PathBuf {
        let fleet = self.0.path().join("fleet");
        if !fleet.exists() {
            let init = ["init", "fossable.org", "--no-passphrase", "--dir"];
            let made = Command::new(script::floe()).args(init).arg(&fleet).output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        fleet.join("trust.json")
    }

    fn nix(
        &self,
        program: &str,
        how: &[&str],
        module: &Path,
        attribute: &str,
    ) -> Result<String, String> {
        let directory = |name: &str| self.0.path().join(name);
        let asked = Command::new(program)
            .args(how)
            .arg(script::repository_root().join("tests/modules/evaluate.nix"))
            .args(["--arg", "module"])
            .arg(module)
            .args(["--attr", attribute])
            .args(["--option", "sandbox", "false", "--option", "substituters", ""])
            .args(["--option", "build-users-group", ""])
            .env("NIX_STORE_DIR", directory("store"))
            .env("NIX_STATE_DIR", directory("state"))
            .env("NIX_LOG_DIR", directory("log"))
            .env_remove("NIX_PATH")
            .output();
        let Output { status, stdout, stderr } = asked.unwrap_or_else(|e| panic!("{program}: {e}"));
        match status.success() {
            true => Ok(String::from_utf8(stdout).unwrap()),
            false => Err(String::from_utf8_lossy(&stderr).into_owned()),
        }
    }
}
