//! `floe aws`: what floe needs of an account at AWS. Asks nobody.

use clap::{Args, Subcommand, ValueEnum};

use super::context::Context;
use super::end::End;
use super::output;
use crate::aws::actions::{self, Policy, Scope};
use crate::enrol::instance::Region;

/// Print what AWS must allow floe to do
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum Aws {
    Policy(PolicyOf),
}

/// Print an IAM policy: every action that this version of floe uses, and no other
///
/// As JSON, whatever --output says: for `aws iam put-role-policy`, or Terraform. Hosts and
/// operators need no policy; a host needs no instance profile either.
#[derive(Args, Debug)]
#[command(after_help = POLICY_EXAMPLES)]
pub(super) struct PolicyOf {
    /// Whose
    part: Part,
    /// Only in this region; may be given more than once [default: `aws.regions` of
    /// floe.toml, or any]
    #[arg(long = "region", value_name = "REGION")]
    regions: Vec<Region>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Part {
    /// Of the instance that runs `floe serve`
    ControlPlane,
}

const EXAMPLES: &str = "\
Examples:
  floe aws policy control-plane --region eu-central-1";

const POLICY_EXAMPLES: &str = "\
Examples:
  floe aws policy control-plane
  floe aws policy control-plane --region eu-central-1 > policy.json
  aws iam put-role-policy --role-name floe-control-plane --policy-name floe \\
      --policy-document file://policy.json";

impl Aws {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<End> {
        match self {
            Self::Policy(policy) => policy.run(context),
        }
    }
}

impl PolicyOf {
    fn run(self, context: &Context) -> anyhow::Result<End> {
        let mut regions = self.regions;
        if regions.is_empty() {
            // Without a repository nobody has said where.
            if let Ok(repository) = context.repository() {
                regions = repository.file().aws.policy.regions.iter().cloned().collect();
            }
        }
        let part = match self.part {
            Part::ControlPlane => actions::Part::ControlPlane,
        };
        // No version keeps payloads in a bucket of S3 yet.
        let policy = Policy::of(part, &Scope { regions, bucket: None });
        output::write(&(serde_json::to_string_pretty(&policy)? + "\n"))?;
        Ok(End::Done)
    }
}
