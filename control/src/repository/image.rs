//! `[image]` of `host.toml`: the machine image that the role's hosts boot from. Options
//! are named as Packer's `amazon-ebs` names them.
//!
//! ```toml
//! [image]
//! ami_name = "www.fossable.org-{{ timestamp }}"
//! ami_description = "the web server"
//! instance_type = "t4g.large"      # of the builder
//! region = "us-east-2"
//! tags = { service = "www" }       # of the image
//! run_tags = {}                    # of the builder
//! # source_ami = "ami-…"           # instead of the filter
//!
//! [image.source_ami_filter]
//! owners = ["427812963091"]        # accounts, or amazon, aws-marketplace, self
//! most_recent = true
//!
//! [image.source_ami_filter.filters]   # those of EC2's DescribeImages
//! name = "nixos/24.11.*-aarch64-linux"
//! root-device-type = "ebs"
//! virtualization-type = "hvm"
//! ```
//!
//! Nothing bakes yet; `floe check` says so.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::fault::Faults;
use super::suggest::nearest;
use crate::enrol::instance::{Account, ImageId, Region};

/// How the role's image is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// Its name, which may hold `{{ … }}`.
    pub name: String,
    /// What is said of it.
    pub description: Option<String>,
    /// What the builder boots from.
    pub source: SourceImage,
    /// The builder's type.
    pub instance_type: String,
    /// Where the builder runs, and the image is.
    pub region: Region,
    /// Tags of the image.
    pub tags: BTreeMap<String, String>,
    /// Tags of the builder.
    pub run_tags: BTreeMap<String, String>,
}

/// What a builder boots from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceImage {
    /// This one.
    Id(ImageId),
    /// One that is looked for.
    Filter(SourceFilter),
}

/// How a source image is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFilter {
    /// Filters of DescribeImages, each with its value.
    pub filters: BTreeMap<String, String>,
    /// Whose images; at least one, since anybody can give an image any name.
    pub owners: Vec<String>,
    /// The newest of several; else several are an error.
    pub most_recent: bool,
    /// Also those that are deprecated.
    pub include_deprecated: bool,
}

/// As it is typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawImage {
    ami_name: String,
    ami_description: Option<String>,
    source_ami: Option<String>,
    source_ami_filter: Option<RawFilter>,
    instance_type: String,
    region: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    run_tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFilter {
    filters: BTreeMap<String, String>,
    owners: Vec<String>,
    #[serde(default)]
    most_recent: bool,
    #[serde(default)]
    include_deprecated: bool,
}

impl RawImage {
    pub(super) fn checked(self, faults: &mut Faults) -> Option<ImageFile> {
        if let Some(fault) = name_fault(&self.ami_name) {
            faults.add("image.ami_name", fault);
        }
        if self.ami_description.as_ref().is_some_and(|text| text.chars().count() > 255) {
            faults.add("image.ami_description", "it has more than 255 characters".into());
        }
        if !is_instance_type(&self.instance_type) {
            let fault = format!("`{}` is no instance type such as `t4g.large`", self.instance_type);
            faults.add("image.instance_type", fault);
        }
        let region = faults.take("image.region", self.region.parse::<Region>());
        check_tags("image.tags", &self.tags, faults);
        check_tags("image.run_tags", &self.run_tags, faults);
        let source = match (self.source_ami, self.source_ami_filter) {
            (Some(id), None) => {
                faults.take("image.source_ami", id.parse::<ImageId>()).map(SourceImage::Id)
            }
            (None, Some(filter)) => Some(SourceImage::Filter(filter.checked(faults))),
            (None, None) | (Some(_), Some(_)) => {
                let fault = "it must have exactly one of source_ami, source_ami_filter";
                faults.add("image", fault.into());
                None
            }
        };
        Some(ImageFile {
            name: self.ami_name,
            description: self.ami_description,
            source: source?,
            instance_type: self.instance_type,
            region: region?,
            tags: self.tags,
            run_tags: self.run_tags,
        })
    }
}

impl RawFilter {
    fn checked(self, faults: &mut Faults) -> SourceFilter {
        let table = "image.source_ami_filter";
        if self.owners.is_empty() {
            let fault = "it is empty; anybody can give an image this name";
            let advice = "NixOS's own images are of `427812963091`";
            faults.advise(&format!("{table}.owners"), fault.into(), Some(advice.into()));
        }
        for (at, owner) in self.owners.iter().enumerate() {
            if !OWNERS.contains(&owner.as_str()) && owner.parse::<Account>().is_err() {
                let fault = format!(
                    "`{owner}` is no account; expected 12 digits, or one of {}",
                    OWNERS.join(", ")
                );
                faults.add(&format!("{table}.owners #{}", at + 1), fault);
            }
        }
        if self.filters.is_empty() {
            faults.add(&format!("{table}.filters"), "it is empty; say at least `name`".into());
        }
        for (name, value) in &self.filters {
            let place = format!("{table}.filters.{name}");
            let is_tag = name.strip_prefix("tag:").is_some_and(|tag| !tag.is_empty());
            if !is_tag && !FILTERS.contains(&name.as_str()) {
                let guess = nearest(name, FILTERS).map(|known| format!("did you mean `{known}`?"));
                faults.advise(&place, "it is no filter of DescribeImages".into(), guess);
            } else if value.is_empty() {
                faults.add(&place, "it is empty".into());
            }
        }
        let Self { filters, owners, most_recent, include_deprecated } = self;
        SourceFilter { filters, owners, most_recent, include_deprecated }
    }
}

/// What stands for accounts in `Owner` of DescribeImages.
const OWNERS: [&str; 4] = ["amazon", "aws-backup-vault", "aws-marketplace", "self"];

/// The filters of DescribeImages
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html>), without
/// `tag:<key>`.
const FILTERS: [&str; 37] = [
    "architecture",
    "block-device-mapping.delete-on-termination",
    "block-device-mapping.device-name",
    "block-device-mapping.encrypted",
    "block-device-mapping.snapshot-id",
    "block-device-mapping.volume-size",
    "block-device-mapping.volume-type",
    "creation-date",
    "description",
    "ena-support",
    "free-tier-eligible",
    "hypervisor",
    "image-allowed",
    "image-id",
    "image-type",
    "is-public",
    "kernel-id",
    "manifest-location",
    "name",
    "owner-alias",
    "owner-id",
    "platform",
    "product-code",
    "product-code.type",
    "ramdisk-id",
    "root-device-name",
    "root-device-type",
    "source-image-id",
    "source-image-region",
    "source-instance-id",
    "state",
    "state-reason-code",
    "state-reason-message",
    "sriov-net-support",
    "tag-key",
    "usage-operation",
    "virtualization-type",
];

/// CreateImage: 3 to 128 characters of few kinds. What `{{ … }}` becomes is not known here.
fn name_fault(name: &str) -> Option<String> {
    let (mut plain, mut rest) = (String::new(), name);
    let mut expressions = 0;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((_, after)) = after.split_once("}}") else {
            return Some("a `{{` has no `}}`".into());
        };
        plain += before;
        expressions += 1;
        rest = after;
    }
    plain += rest;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(c);
    if let Some(bad) = plain.chars().find(|c| !allowed(*c)) {
        return Some(format!("`{}` cannot be in the name of an image", bad.escape_debug()));
    }
    let fits = plain.len() <= 128 && (plain.len() >= 3 || expressions > 0);
    (!fits).then(|| "it must have 3 to 128 characters".into())
}

/// `<family>.<size>`.
fn is_instance_type(text: &str) -> bool {
    let word = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.split_once('.').is_some_and(|(family, size)| word(family) && word(size))
}

/// What EC2 and CloudFormation take: keys of up to 128 characters, which are not AWS's own,
/// and values of up to 256.
pub(super) fn check_tags(table: &str, tags: &BTreeMap<String, String>, faults: &mut Faults) {
    for (key, value) in tags {
        let place = format!("{table}.{key}");
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            let fault = "a tag has a key of 1 to 128 characters, and a value of up to 256";
            faults.add(&place, fault.into());
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            faults.add(&place, "keys that begin with `aws:` are AWS's own".into());
        }
    }
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
