//! Which roles there are: a directory below `hosts/` is one; elsewhere an image, a play for
//! hosts that nothing else describes, or a directory with a configuration.nix is.

use std::collections::{BTreeMap, BTreeSet};

use floe_proto::id::{Fleet, Role};

use super::ansible::{self, Inventory, Play, Playbooks};
use super::error::Error;
use super::packer::{Image, Step, Template};
use super::report::{Outcome, Report};
use super::role::Put;
use super::tree::{Tree, parent};

/// A role, before its files are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) role: Role,
    /// Where its files lie in what is imported.
    pub(super) directory: Option<String>,
    pub(super) image: Option<Image>,
    /// What is brought to its machines, in order.
    pub(super) puts: Vec<Put>,
}

/// Finds them all, in the order of their names.
pub(super) fn roles(
    tree: &Tree,
    fleet: &Fleet,
    templates: Vec<Template>,
    inventory: &Inventory,
    report: &mut Report,
) -> Result<Vec<Found>, Error> {
    let mut roles = Roles { found: BTreeMap::new(), puts: 0 };
    for name in directories(tree) {
        let directory = format!("hosts/{name}");
        match name.parse() {
            Ok(role) => roles.at(role).directory = Some(directory),
            Err(_) => {
                let outcome = Outcome::NotSupported(format!(
                    "`{name}` is no name of a role: small letters, digits, `-` and dots; rename \
                     it and import again"
                ));
                report.add((&directory, None), "directory", outcome);
            }
        }
    }
    let playbooks = ansible::playbooks(tree, report)?;
    let mut used = BTreeSet::new();
    for template in templates {
        of_template(&mut roles, template, &playbooks, &mut used, report)?;
    }
    // Those that no image runs; what several import is read where it stands.
    let own = playbooks.plays.into_iter().filter(|(name, _)| !playbooks.imported.contains(name));
    let mut rest: Vec<Play> = own.flat_map(|(_, plays)| plays).collect();
    rest.retain(|play| !used.contains(&play.file));
    rest.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    rest.dedup();
    of_plays(&mut roles, rest, inventory, report)?;
    if roles.found.is_empty() {
        of_configurations(&mut roles, tree, fleet, inventory, report);
    }
    Ok(roles.found.into_values().collect())
}

/// More than is brought to all roles together: a play for all hosts is brought to each.
const MOST_PUTS: usize = 100_000;

struct Roles {
    found: BTreeMap<Role, Found>,
    puts: usize,
}

impl Roles {
    /// Brings `puts` to `role`, which is there from now on.
    fn bring(&mut self, role: Role, puts: Vec<Put>) -> Result<(), Error> {
        self.puts = self.puts.saturating_add(1 + puts.len());
        if self.puts > MOST_PUTS {
            return Err(Error::too_much("what is brought to all roles", MOST_PUTS, "files"));
        }
        self.at(role).puts.extend(puts);
        Ok(())
    }

    fn at(&mut self, role: Role) -> &mut Found {
        self.found.entry(role.clone()).or_insert_with(|| Found {
            role,
            directory: None,
            image: None,
            puts: Vec::new(),
        })
    }

    /// The role in whose directory `path` lies.
    fn around(&self, path: &str) -> Option<Role> {
        let is_inside = |directory: &str| {
            path.strip_prefix(directory)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let found =
            self.found.values().find(|found| found.directory.as_deref().is_some_and(is_inside));
        found.map(|found| found.role.clone())
    }
}

fn directories(tree: &Tree) -> Vec<String> {
    let below = tree.names().filter_map(|name| name.strip_prefix("hosts/"));
    let mut names: Vec<String> =
        below.filter_map(|name| Some(name.split_once('/')?.0.to_owned())).collect();
    names.dedup();
    names
}

fn of_template(
    roles: &mut Roles,
    template: Template,
    playbooks: &Playbooks,
    used: &mut BTreeSet<String>,
    report: &mut Report,
) -> Result<(), Error> {
    // What is put, beside the images that it is put into; of none named, into all.
    let mut puts: Vec<(Vec<String>, Put)> = Vec::new();
    let mut around = roles.around(&template.directory);
    for (labels, step) in template.steps {
        match step {
            Step::Put(put) => puts.push((labels, put)),
            Step::Playbook(name) => {
                around = around.or_else(|| roles.around(parent(&name)));
                // Other templates may run it, too.
                for play in playbooks.plays.get(&name).into_iter().flatten() {
                    used.insert(play.file.clone());
                    puts.extend(play.puts.iter().map(|put| (labels.clone(), put.clone())));
                }
                used.insert(name);
            }
        }
        if puts.len() > MOST_PUTS {
            let what = format!("what the templates in `{}/` bring", template.directory);
            return Err(Error::too_much(what, MOST_PUTS, "files"));
        }
    }
    let for_image = |label: Option<&str>| {
        let is_meant = |labels: &[String]| {
            labels.is_empty() || label.is_none_or(|label| labels.iter().any(|it| it == label))
        };
        let meant: Vec<Put> = puts
            .iter()
            .filter(|(labels, _)| is_meant(labels))
            .map(|(_, put)| put.clone())
            .collect();
        meant
    };
    let mut images = template.images.into_iter();
    if let Some(role) = around {
        let first = match roles.at(role.clone()).image {
            None => images.next(),
            Some(_) => None,
        };
        let puts = for_image(first.as_ref().map(|image| image.label.as_str()));
        roles.bring(role.clone(), puts)?;
        let found = roles.at(role);
        found.image = found.image.take().or(first);
        for image in images {
            other_image(&template.directory, &image, report);
        }
        return Ok(());
    }
    for image in images {
        let name: String = image.label.to_lowercase().replace('_', "-");
        match name.parse::<Role>() {
            Ok(role) => {
                roles.bring(role.clone(), for_image(Some(&image.label)))?;
                let found = roles.at(role);
                if found.image.is_none() {
                    found.image = Some(image);
                }
            }
            Err(_) => other_image(&template.directory, &image, report),
        }
    }
    Ok(())
}

fn other_image(directory: &str, image: &Image, report: &mut Report) {
    let outcome = Outcome::NotSupported(
        "a role has one image: give this one a directory of its own below hosts/".into(),
    );
    report.add((directory, None), format!("source amazon-ebs {}", image.label), outcome);
}

fn of_plays(
    roles: &mut Roles,
    plays: Vec<Play>,
    inventory: &Inventory,
    report: &mut Report,
) -> Result<(), Error> {
    let mut of_all = Vec::new();
    for play in plays {
        if let Some(role) = roles.around(&play.file) {
            roles.bring(role, play.puts)?;
            continue;
        }
        let names: BTreeSet<&str> = play.hosts.split([',', ':']).map(str::trim).collect();
        for name in names {
            match name {
                "all" | "*" => of_all.push(play.clone()),
                "localhost" | "127.0.0.1" | "::1" | "" => of_nobody(&play, report),
                name => of_pattern(roles, name, &play, inventory, report)?,
            }
        }
    }
    let names: Vec<Role> = roles.found.keys().cloned().collect();
    for play in of_all {
        for role in &names {
            roles.bring(role.clone(), play.puts.clone())?;
        }
        if names.is_empty() && !play.puts.is_empty() {
            of_pattern(roles, "all", &play, inventory, report)?;
        }
    }
    Ok(())
}

/// A play for the machine where Ansible runs.
fn of_nobody(play: &Play, report: &mut Report) {
    for put in &play.puts {
        let outcome = Outcome::NotSupported(
            "its play is for the machine where Ansible runs, and for no role: copy it to \
             hosts/<role>/ where it is needed"
                .into(),
        );
        report.add((&put.file, put.line), &put.dest, outcome);
    }
}

fn of_pattern(
    roles: &mut Roles,
    name: &str,
    play: &Play,
    inventory: &Inventory,
    report: &mut Report,
) -> Result<(), Error> {
    let is_role = |name: &str| name.parse().is_ok_and(|role: Role| roles.found.contains_key(&role));
    let members = inventory.groups.get(name).into_iter().flatten();
    let mut meant: Vec<String> = members.filter(|host| is_role(host)).cloned().collect();
    if is_role(name) {
        meant = vec![name.to_owned()];
    }
    // A group whose machines get the same files is a role.
    if meant.is_empty() && !play.puts.is_empty() {
        meant = vec![name.to_lowercase().replace('_', "-")];
    }
    for name in meant {
        match name.parse::<Role>() {
            Ok(role) => roles.bring(role, play.puts.clone())?,
            Err(_) => {
                let outcome = Outcome::NotSupported(format!(
                    "`{name}` is no name of a role; write the files into hosts/<role>/"
                ));
                report.add((&play.file, play.line), format!("hosts: {name}"), outcome);
            }
        }
    }
    Ok(())
}

/// Where there is nothing but Nix.
fn of_configurations(
    roles: &mut Roles,
    tree: &Tree,
    fleet: &Fleet,
    inventory: &Inventory,
    report: &mut Report,
) {
    let names = tree.names().filter(|name| super::tree::base(name) == "configuration.nix");
    for name in names {
        let directory = parent(name);
        let last = directory.rsplit('/').next().unwrap_or_default();
        let mut hosts = inventory.hosts.iter();
        let named = match (last, hosts.next(), hosts.next()) {
            ("" | "nixos" | "etc", Some(only), None) => only.clone(),
            ("" | "nixos" | "etc", ..) => fleet.to_string(),
            (last, ..) => last.to_lowercase().replace('_', "-"),
        };
        let Ok(role) = named.parse::<Role>() else { continue };
        let outcome = Outcome::Look(format!(
            "the role is called `{role}`; rename hosts/{role}/ where that does not fit"
        ));
        report.add((name, None), "role", outcome);
        roles.at(role).directory = Some(directory.to_owned());
    }
}
