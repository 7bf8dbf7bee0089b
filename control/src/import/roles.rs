//! Which roles there are: a directory below `hosts/` is one; elsewhere an image, a play for
//! hosts that nothing else describes, or a directory with a configuration.nix is.

use std::collections::BTreeMap;

use floe_proto::id::{Fleet, Role};

use super::ansible::{self, Inventory, Play};
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
    let mut roles = Roles(BTreeMap::new());
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
    let playbooks: Vec<&str> =
        tree.names().filter(|name| ansible::is_playbook(tree, name)).collect();
    let mut plays: BTreeMap<String, Vec<Play>> = BTreeMap::new();
    for name in playbooks {
        plays.insert(name.to_owned(), ansible::plays(tree, name, report)?);
    }
    for template in templates {
        of_template(&mut roles, template, &mut plays, report);
    }
    // Those that no image runs; what several import is read where it stands.
    let mut rest: Vec<Play> = plays.into_values().flatten().collect();
    rest.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    rest.dedup();
    of_plays(&mut roles, rest, inventory, report);
    if roles.0.is_empty() {
        of_configurations(&mut roles, tree, fleet, inventory, report);
    }
    Ok(roles.0.into_values().collect())
}

struct Roles(BTreeMap<Role, Found>);

impl Roles {
    fn at(&mut self, role: Role) -> &mut Found {
        self.0.entry(role.clone()).or_insert_with(|| Found {
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
        let found = self.0.values().find(|found| found.directory.as_deref().is_some_and(is_inside));
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
    plays: &mut BTreeMap<String, Vec<Play>>,
    report: &mut Report,
) {
    // What is put, beside the images that it is put into; of none named, into all.
    let mut puts: Vec<(Vec<String>, Put)> = Vec::new();
    let mut around = roles.around(&template.directory);
    for (labels, step) in template.steps {
        match step {
            Step::Put(put) => puts.push((labels, put)),
            Step::Playbook(name) => {
                around = around.or_else(|| roles.around(parent(&name)));
                let found = plays.remove(&name).unwrap_or_default();
                let found = found.into_iter().flat_map(|play| play.puts);
                puts.extend(found.map(|put| (labels.clone(), put)));
            }
        }
    }
    let mut images = template.images.into_iter();
    if let Some(role) = around {
        let found = roles.at(role);
        found.puts.extend(puts.into_iter().map(|(_, put)| put));
        if found.image.is_none() {
            found.image = images.next();
        }
        for image in images {
            other_image(&template.directory, &image, report);
        }
        return;
    }
    for image in images {
        let name: String = image.label.to_lowercase().replace('_', "-");
        match name.parse::<Role>() {
            Ok(role) => {
                let found = roles.at(role);
                let ours = |labels: &[String]| labels.is_empty() || labels.contains(&image.label);
                let ours = puts.iter().filter(|(labels, _)| ours(labels));
                found.puts.extend(ours.map(|(_, put)| put.clone()));
                if found.image.is_none() {
                    found.image = Some(image);
                }
            }
            Err(_) => other_image(&template.directory, &image, report),
        }
    }
}

fn other_image(directory: &str, image: &Image, report: &mut Report) {
    let outcome = Outcome::NotSupported(
        "a role has one image: give this one a directory of its own below hosts/".into(),
    );
    report.add((directory, None), format!("source amazon-ebs {}", image.label), outcome);
}

fn of_plays(roles: &mut Roles, plays: Vec<Play>, inventory: &Inventory, report: &mut Report) {
    let mut of_all = Vec::new();
    for play in plays {
        let around = roles.around(&play.file);
        if let Some(role) = around {
            roles.at(role).puts.extend(play.puts);
            continue;
        }
        for name in play.hosts.split([',', ':']).map(str::trim) {
            match name {
                "all" | "*" => of_all.push(play.clone()),
                "localhost" | "127.0.0.1" | "" => {}
                name => of_pattern(roles, name, &play, inventory, report),
            }
        }
    }
    let names: Vec<Role> = roles.0.keys().cloned().collect();
    for play in of_all {
        for role in &names {
            roles.at(role.clone()).puts.extend(play.puts.clone());
        }
        if names.is_empty() && !play.puts.is_empty() {
            of_pattern(roles, "all", &play, inventory, report);
        }
    }
}

fn of_pattern(
    roles: &mut Roles,
    name: &str,
    play: &Play,
    inventory: &Inventory,
    report: &mut Report,
) {
    let is_role = |name: &str| roles.0.keys().any(|role| role.as_str() == name);
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
            Ok(role) => roles.at(role).puts.extend(play.puts.clone()),
            Err(_) => {
                let outcome = Outcome::NotSupported(format!(
                    "`{name}` is no name of a role; write the files into hosts/<role>/"
                ));
                report.add((&play.file, play.line), format!("hosts: {name}"), outcome);
            }
        }
    }
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
