//! What an import writes, from all that was read.

use std::collections::BTreeMap;

use floe_proto::id::{Fleet, Role};

use super::ansible;
use super::cloudformation;
use super::error::Error;
use super::follow::follow;
use super::host_file::{self, HostFile};
use super::nix;
use super::own;
use super::packer::{self, Image, Search, Source};
use super::report::{Outcome, Report};
use super::role::{self, RoleFile};
use super::roles::{self, Found};
use super::settle::{ENTRY, Settled, settle};
use super::tree::{Tree, base, looks_secret, parent};
use super::variables::{self, Variables};

/// What an import writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The roles, in the order of their names.
    pub roles: Vec<Planned>,
    /// The files, relative to the fleet repository.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The release of NixOS that images are made from, such as `24.11`.
    pub release: Option<String>,
    /// What became of everything.
    pub report: Report,
}

/// A role that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Its name.
    pub role: Role,
    /// The Nix system of its hosts.
    pub system: String,
    /// The file that makes its machines hosts of the fleet.
    pub agent: String,
    /// Whether that file is to be written; else it came with what was imported.
    pub is_agent_ours: bool,
}

/// Plans the import of `tree` into the repository of `fleet`.
///
/// # Errors
///
/// [`Error`], naming the file and the line that cannot be read.
pub fn plan(tree: &Tree, variables: &Variables, fleet: &Fleet) -> Result<Plan, Error> {
    let mut plan = Plan::default();
    let report = &mut plan.report;
    let templates = packer::templates(tree, report)?;
    let inventory = ansible::inventory(tree, report)?;
    ansible::configuration(tree, report);
    let found = roles::roles(tree, fleet, templates, &inventory, report)?;
    let mut taken = variables::take(tree, report);
    let mut stacks = stacks(tree, &found, report)?;
    for found in found {
        let name = found.role.to_string();
        let mut files = files(&found, tree, report)?;
        if files.is_empty() && found.image.is_none() {
            continue; // a directory with nothing that describes a machine
        }
        let stack = stacks.remove(&found.role);
        if let Some(directory) = &found.directory {
            own::told(&name, directory, tree, report);
        }
        let (agent, is_agent_ours) = own::agent(&name, &files, report);
        follow(&name, &mut files, &agent, tree, report);
        let files = own::renamed(&name, files, stack.as_ref().map(|(name, ..)| name), report);
        let settled = settle(&name, files, &agent, variables, report);
        is_whole(&found, report);
        is_nixos(&found, report);
        let system = system(&found, report);
        taken.extend(of_role(&found, &system, settled, stack));
        let release = found.image.as_ref().and_then(release);
        plan.release = plan.release.or(release);
        plan.roles.push(Planned { role: found.role, system, agent, is_agent_ours });
    }
    if plan.roles.is_empty() {
        return Err(Error::NoRole { directory: tree.name().to_owned() });
    }
    // What is there first stays: two files never have one name.
    for (name, bytes) in taken {
        plan.files.entry(name).or_insert(bytes);
    }
    leftovers(tree, report);
    plan.report = plan.report.sorted()?;
    Ok(plan)
}

/// The files of a role: what is brought to its machines, or what lies in its directory.
fn files(
    found: &Found,
    tree: &Tree,
    report: &mut Report,
) -> Result<BTreeMap<String, RoleFile>, Error> {
    let name = found.role.as_str();
    let mut files = role::files(name, &found.puts, tree, report)?;
    let directory = found.directory.as_deref();
    if let Some(directory) = directory.filter(|_| !files.contains_key(ENTRY)) {
        for path in tree.below(directory).filter(|path| path.ends_with(".nix")) {
            let inside = path.get(directory.len()..).unwrap_or_default().trim_matches('/');
            // At the root, other directories are no business of this role's.
            if inside.is_empty() || (directory.is_empty() && inside.contains('/')) {
                continue;
            }
            let bytes = tree.bytes(path).unwrap_or_default().to_vec();
            let origin = (path.to_owned(), 1);
            // Nothing says how it is brought to the machine: what Nix can read is no template.
            let is_template = str::from_utf8(&bytes).is_ok_and(nix::is_template);
            let to = format!("hosts/{name}/{inside}");
            let outcome = Outcome::into_file(&to, to.clone());
            report.add((path, None), base(path), outcome);
            files.insert(inside.to_owned(), RoleFile { bytes, is_template, origin });
        }
    }
    if !files.contains_key(ENTRY) {
        let place = directory.map_or_else(|| format!("hosts/{name}"), ToOwned::to_owned);
        let outcome = Outcome::NotSupported(format!(
            "nothing brings a configuration.nix to /etc/nixos: write hosts/{name}/{ENTRY}, and \
             import ./floe.nix in it"
        ));
        report.add((&place, None), ENTRY, outcome);
    }
    Ok(files)
}

/// The files that a role becomes, relative to the repository.
fn of_role(
    found: &Found,
    system: &str,
    settled: Settled,
    stack: Option<(String, Vec<u8>, Option<String>)>,
) -> Vec<(String, Vec<u8>)> {
    let directory = format!("hosts/{}", found.role);
    let mut host = HostFile {
        system: system.to_owned(),
        image: found.image.clone(),
        secrets: settled.secrets,
        templates: settled.templates,
        stack_name: found.role.as_str().replace('.', "-"),
        stack: None,
    };
    let mut files = Vec::new();
    if let Some((name, bytes, parameter)) = stack {
        files.push((format!("{directory}/{name}"), bytes));
        host.stack = Some((name, parameter));
    }
    files.push((format!("{directory}/host.toml"), host.text().into_bytes()));
    for (name, bytes) in settled.files {
        files.push((format!("{directory}/{name}"), bytes));
    }
    files
}

/// What `[image]` must have is known, or told of.
fn is_whole(found: &Found, report: &mut Report) {
    let missing = found.image.as_ref().map(host_file::missing).unwrap_or_default();
    if !missing.is_empty() {
        let place = found.directory.clone().unwrap_or_else(|| format!("hosts/{}", found.role));
        let outcome = Outcome::NotSupported(format!(
            "[image] of host.toml is a comment: {} is not known; say it there",
            missing.join(", ")
        ));
        report.add((&place, None), "[image]", outcome);
    }
}

/// An image that is looked for by a name without NixOS in it cannot run what floe builds.
fn is_nixos(found: &Found, report: &mut Report) {
    let Some(Source::Search(search)) = found.image.as_ref().and_then(|it| it.source.as_ref())
    else {
        return;
    };
    let name = search.filters.get("name");
    if let Some(name) = name.filter(|name| !name.to_lowercase().contains("nixos")) {
        let outcome = Outcome::Look(format!(
            "`{name}` does not say that it is NixOS, and hosts run nothing else: NixOS's own images \
             are `nixos/…` of the owner 427812963091"
        ));
        let place = found.directory.clone().unwrap_or_else(|| format!("hosts/{}", found.role));
        report.add((&place, None), "[image.source_ami_filter]", outcome);
    }
}

type Stacks = BTreeMap<Role, (String, Vec<u8>, Option<String>)>;

/// The CloudFormation template of each role: its name there, its bytes, its parameter.
fn stacks(tree: &Tree, found: &[Found], report: &mut Report) -> Result<Stacks, Error> {
    let mut stacks = Stacks::new();
    let names = tree.names().filter(|name| cloudformation::is_template(tree, name));
    for name in names {
        let inside = found.iter().find(|found| {
            let directory = found.directory.as_deref().filter(|directory| !directory.is_empty());
            let inside = directory.and_then(|directory| name.strip_prefix(directory));
            inside.is_some_and(|inside| inside.starts_with('/'))
        });
        let only = if let [only] = found { Some(only) } else { None };
        let Some(owner) = inside.or(only) else {
            let outcome = Outcome::NotSupported(
                "it is in the directory of no role: copy it to hosts/<role>/cloudformation.yml"
                    .into(),
            );
            report.add((name, None), "CloudFormation template", outcome);
            continue;
        };
        let stack = cloudformation::stack(tree, name, report)?;
        let is_json = name.ends_with(".json");
        let to = if is_json { "cloudformation.json" } else { "cloudformation.yml" };
        let outcome = if stacks.contains_key(&owner.role) {
            Outcome::NotSupported("a role has one stack: this is its second template".into())
        } else {
            let bytes = tree.bytes(name).unwrap_or_default().to_vec();
            stacks.insert(owner.role.clone(), (to.to_owned(), bytes, stack.image_parameter));
            let to = format!("hosts/{}/{to}", owner.role);
            Outcome::into_file(&to, format!("{to}, as it is; host.toml: [stack]"))
        };
        report.add((name, None), "CloudFormation template", outcome);
    }
    Ok(stacks)
}

/// The Nix system of a role's hosts, by its image.
fn system(found: &Found, report: &mut Report) -> String {
    let image = found.image.as_ref();
    let filters = match image.and_then(|image| image.source.as_ref()) {
        Some(Source::Search(search)) => search.filters.values().cloned().collect(),
        Some(Source::Ami(_)) | None => Vec::new(),
    };
    let says =
        |words: &[&str]| filters.iter().any(|text| words.iter().any(|word| text.contains(word)));
    let instance = image.and_then(|image| image.instance_type.as_deref());
    if says(&["aarch64", "arm64"]) || instance.is_some_and(is_graviton) {
        return "aarch64-linux".into();
    }
    if !says(&["x86_64", "amd64"]) && instance.is_none() {
        let place = found.directory.clone().unwrap_or_else(|| format!("hosts/{}", found.role));
        let outcome = Outcome::Look(
            "nothing says which machines it is for: host.toml has x86_64-linux; correct it for \
             Graviton"
                .into(),
        );
        report.add((&place, None), "system", outcome);
    }
    "x86_64-linux".into()
}

/// Whether instances of this type have ARM processors: the family has a `g` behind its
/// generation (AWS's page "Instance type naming conventions"), or is the first of them.
fn is_graviton(instance_type: &str) -> bool {
    let family = instance_type.split('.').next().unwrap_or_default();
    let behind = family.trim_start_matches(|c: char| !c.is_ascii_digit());
    family == "a1" || behind.contains('g')
}

/// `24.11` of a filter such as `nixos/24.11.*-aarch64-linux`.
fn release(image: &Image) -> Option<String> {
    let Some(Source::Search(Search { filters, .. })) = &image.source else { return None };
    let name = filters.get("name")?.to_lowercase();
    let (_, behind) = name.split_once("nixos")?;
    let digits = behind.trim_start_matches(|c: char| !c.is_ascii_digit());
    let release: String = digits.chars().take(5).collect();
    let (year, month) = release.split_once('.')?;
    let is_number = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    (is_number(year) && is_number(month)).then_some(release)
}

/// Every file is told of.
fn leftovers(tree: &Tree, report: &mut Report) {
    for (name, why) in tree.unread() {
        let outcome = Outcome::NotSupported(format!("{why}; copy it yourself where it is needed"));
        report.add((name, None), "file", outcome);
    }
    for name in tree.names() {
        if report.knows(name) {
            continue;
        }
        let stem = base(name).to_lowercase();
        let is_about = [
            "readme",
            "license",
            "licence",
            "copying",
            "changelog",
            ".git",
            ".editor",
            ".ansible",
            "makefile",
            "justfile",
            "renovate",
        ]
        .iter()
        .any(|word| stem.starts_with(word))
            || parent(name).starts_with(".github");
        let outcome = if looks_secret(name) {
            Outcome::Look("it looks like a secret in the clear; it was not copied".into())
        } else if is_about {
            Outcome::NotNeeded("it describes no machine; copy it yourself".into())
        } else {
            Outcome::NotSupported(
                "nothing that was read brings it to a machine; copy it yourself where it is needed"
                    .into(),
            )
        };
        report.add((name, None), "file", outcome);
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "plan_strangers_tests.rs"]
mod strangers_tests;

#[cfg(test)]
#[path = "plan_broken_tests.rs"]
mod broken_tests;
