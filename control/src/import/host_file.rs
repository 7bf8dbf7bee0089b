//! `host.toml` of an imported role, as text.

use std::collections::BTreeMap;

use super::packer::{Image, Source};

/// What goes into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HostFile {
    pub(super) system: String,
    pub(super) image: Option<Image>,
    /// The name of the role's stack.
    pub(super) stack_name: String,
    /// The template, in the role's directory, and the parameter for its image.
    pub(super) stack: Option<(String, Option<String>)>,
    /// In the order of names.
    pub(super) secrets: BTreeMap<String, Secret>,
    /// Files that are rendered.
    pub(super) templates: Vec<String>,
}

/// A table of `[secrets]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Secret {
    pub(super) value: String,
    /// Who reads it.
    pub(super) owner: String,
}

impl HostFile {
    pub(super) fn text(&self) -> String {
        let mut text = format!("system = {}\n", quoted(&self.system));
        text += "\n[health]\n# For how long all checks must hold after a switch.\nsoak = \"10s\"\n\
                 \n[[health.checks]]\nunit = \"multi-user.target\"\n\
                 \n# What the hosts are for:\n# [[health.checks]]\n\
                 # http = \"http://127.0.0.1:80/\"\n\
                 \n[activation]\n\
                 # From the switch to the verdict; after that the host goes back by itself.\n\
                 probation = \"90s\"\n";
        if let Some(image) = &self.image {
            text += &whole(of_image(image), missing(image).is_empty());
        }
        if let Some((template, parameter)) = &self.stack {
            let region = self.image.as_ref().and_then(|image| image.region.as_deref());
            let mut stack = format!("[stack]\nname = {}\n", quoted(&self.stack_name));
            stack += &format!("template = {}\n", quoted(template));
            stack += &format!("region = {}\n", quoted(region.unwrap_or("…")));
            if parameter.is_none() {
                stack += "# Once the template has it: image_parameter = \"ImageId\"\n";
            }
            if let Some(parameter) = parameter {
                stack += &format!("image_parameter = {}\n", quoted(parameter));
            }
            text += &whole(stack, region.is_some());
        }
        for (name, Secret { value, owner }) in &self.secrets {
            text += &format!("\n[secrets.{}]\nvalue = {}\n", key(name), quoted(value));
            if owner != "root" {
                text += &format!("owner = {}\n", quoted(owner));
            }
        }
        for name in &self.templates {
            text += "\n# Rendered when the bundle is built: what it says ends in the Nix store.\n";
            text += &format!("[files.{}]\ntemplate = true\n", quoted(name));
        }
        text
    }
}

/// A table; as a comment where something that it must have is not known.
fn whole(table: String, is_whole: bool) -> String {
    if is_whole {
        return format!("\n{table}");
    }
    let lines = table.lines().map(|line| format!("# {line}").trim_end().to_owned() + "\n");
    format!(
        "\n# Not known yet: what is … here. Say it, and take the `#` away.\n{}",
        lines.collect::<String>()
    )
}

/// The options of `[image]` that it must have and Packer does not say.
pub(super) fn missing(image: &Image) -> Vec<&'static str> {
    let options = [
        ("ami_name", image.name.is_some()),
        ("instance_type", image.instance_type.is_some()),
        ("region", image.region.is_some()),
        ("source_ami", image.source.is_some()),
    ];
    options.into_iter().filter(|(_, is_there)| !is_there).map(|(name, _)| name).collect()
}

fn of_image(image: &Image) -> String {
    let mut text = "[image]\n".to_owned();
    let mut option = |name: &str, value: &str| text += &format!("{name} = {}\n", quoted(value));
    option("ami_name", image.name.as_deref().unwrap_or("…"));
    if let Some(description) = &image.description {
        option("ami_description", description);
    }
    option("instance_type", image.instance_type.as_deref().unwrap_or("…"));
    option("region", image.region.as_deref().unwrap_or("…"));
    match &image.source {
        Some(Source::Search(search)) => {
            let owners: Vec<String> = search.owners.iter().map(|owner| quoted(owner)).collect();
            text += "\n[image.source_ami_filter]\n";
            text += &format!("owners = [{}]\n", owners.join(", "));
            text += &format!("most_recent = {}\n", search.most_recent);
            if search.include_deprecated {
                text += "include_deprecated = true\n";
            }
            text += &table("image.source_ami_filter.filters", &search.filters);
        }
        Some(Source::Ami(ami)) => option("source_ami", ami),
        None => option("source_ami", "…"),
    }
    text + &table("image.tags", &image.tags) + &table("image.run_tags", &image.run_tags)
}

fn table(name: &str, pairs: &BTreeMap<String, String>) -> String {
    if pairs.is_empty() {
        return String::new();
    }
    let lines = pairs.iter().map(|(name, value)| format!("{} = {}\n", key(name), quoted(value)));
    format!("\n[{name}]\n{}", lines.collect::<String>())
}

fn quoted(text: &str) -> String {
    // One line, whatever stands in it; TOML's own writer would choose several.
    serde_json::to_string(text).unwrap_or_default().replace('\u{7f}', "\\u007f")
}

fn key(name: &str) -> String {
    let is_bare = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if is_bare && !name.is_empty() { name.to_owned() } else { quoted(name) }
}

/// Whether `text` is TOML at all.
#[cfg(test)]
pub(super) fn parsed(text: &str) -> toml::Table {
    text.parse().unwrap()
}
