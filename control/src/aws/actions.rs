//! What floe may do at AWS: for every call that it makes, what IAM must allow.
//!
//! One table. `floe aws policy` prints policies from it, `docs/iam/` holds them as files,
//! and a test (`control/tests/actions.rs`) compares it with the source: there is no call
//! without a row, and no row without a call.
//!
//! | part of floe | needs |
//! | --- | --- |
//! | control plane | what its rows say |
//! | host | nothing, and no instance profile: the agent has no SDK of AWS. What AWS signed about the instance comes from its metadata service, payloads by presigned URL |
//! | operator | nothing: `floe` talks to the control plane, which knows operators by certificates of its own |

use std::collections::BTreeMap;

use serde::Serialize;

use crate::enrol::instance::Region;

/// A part of floe that is somebody at AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `floe serve`: the role of the instance that it runs on.
    ControlPlane,
}

/// A call of an AWS SDK, as the source has it, and what it needs.
#[derive(Debug)]
pub struct Call {
    /// The SDK's crate, without `aws-sdk-`.
    pub service: &'static str,
    /// The method of its client.
    pub operation: &'static str,
    /// Who makes it.
    pub part: Part,
    /// What must be allowed.
    pub needs: &'static [Permission],
    /// The page of AWS that says so.
    pub source: &'static str,
}

/// One action on one kind of resource.
#[derive(Debug)]
pub struct Permission {
    /// The statement of a policy that it belongs to.
    pub statement: &'static str,
    /// As IAM spells it.
    pub action: &'static str,
    /// On what.
    pub on: Resource,
}

/// What an action is allowed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// The action knows no resources, but the condition key `ec2:Region`.
    Regions,
    /// The fleet's own bucket of S3.
    Bucket,
    /// What floe puts there.
    Objects,
}

/// Every call that is made.
pub const CALLS: &[Call] = &[
    Call {
        service: "ec2",
        operation: "describe_instances",
        part: Part::ControlPlane,
        // List level: an id cannot be named as a resource. "All Amazon EC2 actions support
        // the ec2:Region condition key."
        needs: &[Permission {
            statement: "SeeInstancesThatEnrol",
            action: "ec2:DescribeInstances",
            on: Resource::Regions,
        }],
        source: EC2,
    },
    // Payloads lie in a bucket inside `floe serve` in this version; nobody asks AWS. These
    // rows are what the same calls will need of S3.
    Call {
        service: "s3",
        operation: "create_bucket",
        part: Part::ControlPlane,
        needs: &[Permission {
            statement: "OwnTheBucket",
            action: "s3:CreateBucket",
            on: Resource::Bucket,
        }],
        source: S3,
    },
    Call {
        service: "s3",
        operation: "put_object",
        part: Part::ControlPlane,
        // A presigned URL may what its signer may, at the time of use.
        needs: &[Permission {
            statement: "KeepPayloads",
            action: "s3:PutObject",
            on: Resource::Objects,
        }],
        source: S3,
    },
    Call {
        service: "s3",
        operation: "get_object",
        part: Part::ControlPlane,
        needs: GET,
        source: S3,
    },
    Call {
        service: "s3",
        operation: "head_object",
        part: Part::ControlPlane,
        needs: GET,
        source: S3,
    },
];

/// "If the object does not exist, the error depends on whether you also have s3:ListBucket":
/// without it, what is absent is forbidden, and floe would not know that it may be uploaded.
const GET: &[Permission] = &[
    Permission { statement: "KeepPayloads", action: "s3:GetObject", on: Resource::Objects },
    Permission { statement: "OwnTheBucket", action: "s3:ListBucket", on: Resource::Bucket },
];

const EC2: &str =
    "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html";
const S3: &str =
    "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html";

/// What a policy is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Where instances may be looked at; anywhere, where none is named.
    pub regions: Vec<Region>,
    /// The bucket of S3, where there is one.
    pub bucket: Option<String>,
}

/// An IAM policy, as AWS takes it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: &'static str,
    effect: &'static str,
    action: Vec<&'static str>,
    resource: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Condition>,
}

/// Operator, key, values.
type Condition = BTreeMap<&'static str, BTreeMap<&'static str, Vec<String>>>;

impl Policy {
    /// What `part` needs, and nothing else.
    pub fn of(part: Part, scope: &Scope) -> Self {
        let mut statements: Vec<Statement> = Vec::new();
        let calls = CALLS.iter().filter(|call| call.part == part);
        for permission in calls.flat_map(|call| call.needs) {
            let Some(resource) = permission.on.arns(scope) else { continue };
            let known = statements.iter_mut().find(|known| known.sid == permission.statement);
            match known {
                Some(known) if known.action.contains(&permission.action) => {}
                Some(known) => known.action.push(permission.action),
                None => statements.push(Statement {
                    sid: permission.statement,
                    effect: "Allow",
                    action: vec![permission.action],
                    resource,
                    condition: permission.on.condition(scope),
                }),
            }
        }
        Self { version: "2012-10-17", statement: statements }
    }
}

impl Resource {
    /// `None` where there is no such thing.
    fn arns(self, scope: &Scope) -> Option<Vec<String>> {
        let bucket = scope.bucket.as_ref().map(|name| format!("arn:aws:s3:::{name}"));
        match self {
            Self::Regions => Some(vec!["*".to_owned()]),
            Self::Bucket => bucket.map(|bucket| vec![bucket]),
            Self::Objects => bucket.map(|bucket| OBJECTS.map(|key| bucket.clone() + key).into()),
        }
    }

    fn condition(self, scope: &Scope) -> Option<Condition> {
        let names: Vec<_> = scope.regions.iter().map(ToString::to_string).collect();
        match self {
            Self::Regions if names.is_empty() => None,
            Self::Regions => Some([("StringEquals", [("ec2:Region", names)].into())].into()),
            Self::Bucket | Self::Objects => None,
        }
    }
}

/// Where `objects/s3.rs` puts things.
const OBJECTS: [&str; 2] = ["/payloads/*", "/nars/*"];

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(scope: &Scope) -> serde_json::Value {
        serde_json::to_value(Policy::of(Part::ControlPlane, scope)).unwrap()
    }

    #[test]
    fn a_policy_allows_what_is_needed_today_and_no_more() {
        let expected = serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "SeeInstancesThatEnrol",
                "Effect": "Allow",
                "Action": ["ec2:DescribeInstances"],
                "Resource": ["*"],
                "Condition": { "StringEquals": { "ec2:Region": ["eu-central-1"] } },
            }],
        });
        let regions = vec!["eu-central-1".parse().unwrap()];
        assert_eq!(policy(&Scope { regions, bucket: None }), expected);
        assert!(policy(&Scope::default())["Statement"][0].get("Condition").is_none());
    }

    #[test]
    fn a_bucket_is_the_fleets_own() {
        let scope = Scope { regions: vec![], bucket: Some("fossable-floe".into()) };
        let policy = policy(&scope);
        let [_, bucket, objects] = policy["Statement"].as_array().unwrap().as_slice() else {
            panic!("{policy}");
        };
        let actions = serde_json::json!(["s3:CreateBucket", "s3:ListBucket"]);
        assert_eq!(bucket["Action"], actions);
        assert_eq!(bucket["Resource"], serde_json::json!(["arn:aws:s3:::fossable-floe"]));
        let objects = (&objects["Action"], objects["Resource"][1].as_str().unwrap());
        let actions = serde_json::json!(["s3:PutObject", "s3:GetObject"]);
        assert_eq!(objects, (&actions, "arn:aws:s3:::fossable-floe/nars/*"));
    }

    #[test]
    fn a_statement_is_about_one_kind_of_resource() {
        let all: Vec<_> = CALLS.iter().flat_map(|call| call.needs).collect();
        for (one, other) in all.iter().flat_map(|one| all.iter().map(move |other| (one, other))) {
            assert!(one.statement != other.statement || one.on == other.on, "{one:?}, {other:?}");
        }
    }
}
