//! `floe import`: the repository of somebody who uses Packer, Ansible and CloudFormation
//! becomes a fleet repository. What is there already is left as it is.

use std::fs;
use std::io::{IsTerminal as _, stderr, stdin};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use floe_proto::id::Fleet;
use zeroize::Zeroizing;

use super::context::Context;
use super::end::{End, Stopped};
use super::files::{Choices, Files};
use super::init_text;
use super::view::import::ImportView;
use crate::import::{self, Plan, Planned, Tree, Variables};
use crate::repository::{DEFAULT_KEY as KEY, FLEET_FILE, HOSTS, LOCK_FILE, TRUST_FILE};
use crate::vault::{self, Password};

/// Make a fleet repository of one for Packer, Ansible and CloudFormation
///
/// Reads Packer templates, playbooks, inventory, group_vars, configuration.nix and
/// CloudFormation templates, and writes floe.toml, a key, a trust root and one directory a
/// role, with a report of what became of every option and task. Passwords in
/// configuration.nix become secrets; what the vault holds stays sealed. Nothing that is
/// there already is overwritten.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Import {
    /// The repository to import
    #[arg(value_name = "DIR")]
    from: PathBuf,

    /// Where to write the fleet repository
    #[arg(long, value_name = "DEST", default_value = ".")]
    dir: PathBuf,

    /// Name of the fleet: its domain [default: the name of DIR]
    #[arg(long, value_name = "DOMAIN")]
    fleet: Option<Fleet>,

    /// Show what would be written, and stop
    #[arg(long)]
    dry_run: bool,

    /// File with the vault's password, or a program that prints it; else it is asked for
    #[arg(long, value_name = "FILE")]
    vault_password_file: Option<PathBuf>,

    /// Do not open the vault: whether variables exist is not checked then
    #[arg(long, conflicts_with = "vault_password_file")]
    no_vault: bool,

    /// Leave the key in the clear; else it is encrypted where a passphrase is set or typed
    #[arg(long)]
    no_passphrase: bool,
}

const EXAMPLES: &str = "\
Examples:
  floe import ../iaac/fossable.org --dry-run
  floe import ../iaac/fossable.org --dir fossable.org --vault-password-file .password
  floe import ../servers --fleet example.org --dir fleet --no-vault";

impl Import {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        self.refuse_overlap()?;
        let tree = Tree::read(&self.from)?;
        let fleet = self.fleet(&tree)?;
        let variables = self.variables(&tree).await?;
        let mut plan = import::plan(&tree, &variables, &fleet)?;
        let mut files = files(&fleet, &plan);
        // What stays as it was is not taken over, whatever was read.
        let different = self.different(&files);
        plan.report.kept(&different);
        let mut view = ImportView::new(&fleet, &self.dir, &plan, next(&plan));
        view.dry_run = self.dry_run;
        view.different = different;
        files.push((REPORT.to_owned(), view.markdown().into_bytes()));
        view.different.extend(self.different(files.get(files.len() - 1..).unwrap_or_default()));
        if self.dry_run {
            let own = [FLEET_FILE, KEY, TRUST_FILE, ".gitignore"].map(ToOwned::to_owned);
            let names = own.into_iter().chain(files.into_iter().map(|(name, _)| name));
            (view.kept, view.created) = names.partition(|name| self.dir.join(name).exists());
        } else {
            let keys = Choices {
                escrow: true,
                no_passphrase: self.no_passphrase,
                environment: context.environment(),
            };
            let mut written = Files::new(&self.dir);
            written.directory("")?;
            let key = written.fleet(&fleet, &keys, context.now())?;
            for (name, bytes) in files {
                written.write(&name, &bytes)?;
            }
            view.key_id = Some(key.public().id().to_string());
            (view.created, view.kept) = (written.created, written.kept);
        }
        context.print(&view)?;
        Ok(End::Done)
    }

    /// What is imported is only read: the fleet repository is not in it, and it is nowhere in
    /// the fleet repository where files are written.
    fn refuse_overlap(&self) -> anyhow::Result<()> {
        let from = self.from.canonicalize();
        let from = from.with_context(|| format!("could not read `{}`", self.from.display()))?;
        // The parts that are not there yet are in no link.
        let dir = std::path::absolute(&self.dir)?;
        let there = dir.ancestors().find_map(|path| Some((path, path.canonicalize().ok()?)));
        let dir = there.map(|(path, real)| match dir.strip_prefix(path) {
            Ok(rest) => real.join(rest),
            Err(_) => real,
        });
        let Some(dir) = dir else { return Ok(()) };
        if dir.starts_with(&from) {
            return Err(Stopped::failed(
                format!("`{}` is what is imported, or in it", self.dir.display()),
                "name another directory with --dir: what is imported stays as it is",
            )
            .into());
        }
        let inside = from.strip_prefix(&dir).ok();
        let first = inside.and_then(|inside| inside.components().next());
        let first = first.map(|first| first.as_os_str().to_string_lossy().into_owned());
        if let Some(first) = first.filter(|first| OWN.contains(&first.as_str())) {
            return Err(Stopped::failed(
                format!(
                    "`{}` is in {first}/ of `{}`, where the import writes",
                    self.from.display(),
                    self.dir.display()
                ),
                "name the directory that has hosts/, and another one with --dir",
            )
            .into());
        }
        Ok(())
    }

    fn fleet(&self, tree: &Tree) -> Result<Fleet, import::Error> {
        if let Some(fleet) = &self.fleet {
            return Ok(fleet.clone());
        }
        let named = tree.name().contains('.').then(|| tree.name().parse().ok()).flatten();
        named.ok_or_else(|| import::Error::NoFleet { name: tree.name().to_owned() })
    }

    /// The names of all variables; those of the vault with its password.
    async fn variables(&self, tree: &Tree) -> anyhow::Result<Variables> {
        let sealed = Variables::sealed_files(tree);
        let password = match (&self.vault_password_file, sealed.first()) {
            (_, None) => None,
            _ if self.no_vault => None,
            (Some(path), Some(_)) => Some(Password::of_file(path).await?),
            (None, Some(first)) => Some(ask(first)?),
        };
        let mut failed = None;
        let variables = Variables::read(tree, |name, bytes| {
            let opened = vault::open(bytes, password.as_ref()?);
            opened.map_err(|error| failed = Some((name.to_owned(), error))).ok()
        })?;
        match failed {
            Some((name, error)) => Err(anyhow::Error::from(error).context(format!("`{name}`"))),
            None => Ok(variables),
        }
    }

    /// What is there already and says something else.
    fn different(&self, files: &[(String, Vec<u8>)]) -> Vec<String> {
        let is_different = |(name, bytes): &&(String, Vec<u8>)| {
            let there = fs::read(self.dir.join(name));
            there.is_ok_and(|there| there != *bytes)
        };
        files.iter().filter(is_different).map(|(name, _)| name.clone()).collect()
    }
}

fn ask(file: &str) -> anyhow::Result<Password> {
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return Err(Stopped::failed(
            format!("`{file}` is sealed, and there is nobody to ask for the password"),
            "name a file with it: --vault-password-file FILE; or leave it closed: --no-vault",
        )
        .into());
    }
    let typed = Zeroizing::new(rpassword::prompt_password("Vault password: ")?);
    Ok(Password::new(typed.as_bytes())?)
}

/// All files besides what every fleet has, and besides the report.
fn files(fleet: &Fleet, plan: &Plan) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> =
        plan.files.iter().map(|(name, bytes)| (name.clone(), bytes.clone())).collect();
    for Planned { role, system, agent, .. } in plan.roles.iter().filter(|it| it.is_agent_ours) {
        let text = init_text::agent_example(fleet, role, system);
        files.push((format!("{HOSTS}/{role}/{agent}"), text.into_bytes()));
    }
    let lock = init_text::lock_stub(plan.release.as_deref());
    files.push((LOCK_FILE.to_owned(), lock.into_bytes()));
    files
}

/// Directories of a fleet repository that an import writes into.
const OWN: [&str; 4] = [HOSTS, "keys", "group_vars", "host_vars"];

const REPORT: &str = "import-report.md";

fn next(plan: &Plan) -> Vec<String> {
    let first = plan.roles.first();
    let role = first.map_or("ROLE", |planned| planned.role.as_str());
    let agent = first.map_or("floe.nix", |planned| planned.agent.as_str());
    let release = plan.release.as_ref().map(|release| format!(" (nixos-{release})"));
    let release = release.unwrap_or_default();
    vec![
        format!("read {REPORT}: do what is `not supported`, look at what says `look`"),
        format!("back up {KEY}: who has it decides what your hosts run"),
        format!("pin nixpkgs{release} and the modules of floe in {LOCK_FILE}"),
        format!("say in {HOSTS}/{role}/{agent} where the agent's release is"),
        format!("say in {HOSTS}/{role}/host.toml what a healthy host looks like"),
        format!("say in {FLEET_FILE} how hosts reach the control plane, and start it: floe serve"),
        format!("let a machine join: floe hosts token {role} --host local-NAME --out join.toml"),
        format!("push: floe push {role} --watch"),
    ]
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
