//! `[stack]` of `host.toml`: the CloudFormation stack that boots the role's image.
//!
//! ```toml
//! [stack]
//! name = "www-fossable-org"
//! template = "cloudformation.yml"  # relative to hosts/<role>/; this is the default
//! region = "us-east-2"
//! image_parameter = "ImageId"      # the parameter of the template that gets the image
//! capabilities = ["CAPABILITY_IAM"]
//!
//! [stack.parameters]
//! InstanceType = "t4g.small"
//!
//! [stack.tags]
//! service = "www"
//! ```
//!
//! Nothing deploys yet; `floe check` says so.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::fault::Faults;
use super::host::is_inside;
use super::image::check_tags;
use super::suggest::did_you_mean;
use crate::enrol::instance::Region;

/// The stack of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackFile {
    /// Its name in CloudFormation.
    pub name: String,
    /// The template, relative to `hosts/<role>/`.
    pub template: PathBuf,
    /// Where it is.
    pub region: Region,
    /// The parameter that gets the image's id, where the template has one.
    pub image_parameter: Option<String>,
    /// All other parameters.
    pub parameters: BTreeMap<String, String>,
    /// What CloudFormation wants to be told that it may do.
    pub capabilities: Vec<String>,
    /// Tags of the stack and of all that it makes.
    pub tags: BTreeMap<String, String>,
}

/// As it is typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStack {
    name: String,
    #[serde(default = "default_template")]
    template: PathBuf,
    region: String,
    image_parameter: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    #[serde(default)]
    capabilities: Vec<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

fn default_template() -> PathBuf {
    "cloudformation.yml".into()
}

/// CreateStack, `Capabilities`.
const CAPABILITIES: [&str; 3] =
    ["CAPABILITY_AUTO_EXPAND", "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"];

impl RawStack {
    pub(super) fn checked(self, faults: &mut Faults) -> Option<StackFile> {
        if !is_stack_name(&self.name) {
            let plain = self.name.replace(['.', '_', ' '], "-");
            let guess = is_stack_name(&plain).then(|| format!("did you mean `{plain}`?"));
            let fault = format!(
                "`{}` is no name of a stack; expected a letter, then letters, digits and `-`",
                self.name
            );
            faults.advise("stack.name", fault, guess);
        }
        if !is_inside(&self.template) {
            let fault =
                format!("`{}` is no relative path inside the role", self.template.display());
            faults.add("stack.template", fault);
        }
        let region = faults.take("stack.region", self.region.parse::<Region>());
        for (at, capability) in self.capabilities.iter().enumerate() {
            if !CAPABILITIES.contains(&capability.as_str()) {
                let fault = format!("`{capability}` is none of {}", CAPABILITIES.join(", "));
                let guess = did_you_mean(capability, CAPABILITIES);
                faults.advise(&format!("stack.capabilities #{}", at + 1), fault, guess);
            }
        }
        let names = self.parameters.keys().map(|name| (format!("stack.parameters.{name}"), name));
        let image = self.image_parameter.iter().map(|name| ("stack.image_parameter".into(), name));
        for (place, name) in names.chain(image) {
            if !is_parameter(name) {
                let fault = format!("`{name}` is no name of a parameter: letters and digits only");
                faults.add(&place, fault);
            }
        }
        if let Some(name) = &self.image_parameter
            && self.parameters.contains_key(name)
        {
            let fault = format!("`{name}` gets the image's id; it cannot be said here as well");
            faults.add(&format!("stack.parameters.{name}"), fault);
        }
        check_tags("stack.tags", &self.tags, faults);
        Some(StackFile {
            name: self.name,
            template: self.template,
            region: region?,
            image_parameter: self.image_parameter,
            parameters: self.parameters,
            capabilities: self.capabilities,
            tags: self.tags,
        })
    }
}

/// CreateStack, `StackName`.
fn is_stack_name(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// "Must be alphanumeric" says the anatomy of templates of its logical ids.
fn is_parameter(text: &str) -> bool {
    !text.is_empty() && text.len() <= 255 && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> (Option<StackFile>, Vec<String>) {
        let mut faults = Faults::default();
        let stack = toml::from_str::<RawStack>(text).unwrap().checked(&mut faults);
        (stack, faults.sentences())
    }

    #[test]
    fn name_and_region_are_enough() {
        let (stack, faults) = checked("name = 'www-fossable-org'\nregion = 'us-east-2'");
        assert_eq!(faults, [""; 0]);
        assert_eq!(stack.unwrap().template, PathBuf::from("cloudformation.yml"));
    }

    #[test]
    fn what_cloudformation_would_refuse_is_named_at_once() {
        let (_, faults) = checked(
            "name = 'www.fossable.org'\nregion = 'us'\ntemplate = '../x.yml'\n\
             image_parameter = 'ImageId'\ncapabilities = ['CAPABILITY_IAMM']\n\
             parameters = { ImageId = 'ami-1', 'a-b' = 'c' }\ntags = { 'AWS:x' = '' }",
        );
        insta::assert_snapshot!(faults.join("\n"));
    }
}
