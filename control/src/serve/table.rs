//! Who may call what, and what of it is written into the audit log: THE table.
//!
//! One line for each method of each service. A path that is not here is refused
//! before anything looks at it; a method of a `.proto` file that is not here fails
//! the tests (`caller_tests`).

use tonic::Status;

use super::auth::Caller;
use crate::operator::OperatorRole;

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Whoever reaches us; what is asked is decided by what the message proves.
    Anyone,
    /// A host, for itself; whether it is on record, and with this key, is the
    /// store's to say.
    Host,
    /// An operator of any role.
    Viewer,
    /// An operator who changes what hosts run.
    Deployer,
    /// An operator who decides who belongs to the fleet.
    Admin,
}

/// What of a method's calls is written into the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audit {
    /// Nothing: it changes nothing.
    Never,
    /// What was refused: hosts make it all the time.
    Refusals,
    /// Every call.
    Always,
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// `/floe.v1.SERVICE/METHOD`, byte for byte as it is asked for.
    pub(super) path: &'static str,
    /// Who may.
    pub(super) need: Need,
    /// What is written down of it.
    pub(super) audit: Audit,
}

/// THE table.
pub(super) const TABLE: &[Rule] = &[
    Rule::new("/floe.v1.Admission/AddImage", Need::Admin, Audit::Always),
    Rule::new("/floe.v1.Admission/RemoveImage", Need::Admin, Audit::Always),
    Rule::new("/floe.v1.Admission/ListImages", Need::Viewer, Audit::Never),
    Rule::new("/floe.v1.Admission/ListPending", Need::Viewer, Audit::Never),
    Rule::new("/floe.v1.Admission/ApproveHost", Need::Admin, Audit::Always),
    Rule::new("/floe.v1.Admission/DenyHost", Need::Admin, Audit::Always),
    Rule::new("/floe.v1.Enrolment/Enrol", Need::Anyone, Audit::Always),
    Rule::new("/floe.v1.Enrolment/RenewExpired", Need::Anyone, Audit::Refusals),
    Rule::new("/floe.v1.HostSession/Open", Need::Host, Audit::Never),
    Rule::new("/floe.v1.HostSession/LocatePayload", Need::Host, Audit::Never),
    Rule::new("/floe.v1.HostSession/Renew", Need::Host, Audit::Refusals),
    Rule::new("/floe.v1.Operator/NewestManifest", Need::Viewer, Audit::Never),
    Rule::new("/floe.v1.Operator/ListManifests", Need::Viewer, Audit::Never),
    Rule::new("/floe.v1.Operator/ShowRollout", Need::Viewer, Audit::Never),
    Rule::new("/floe.v1.Operator/WatchRollout", Need::Viewer, Audit::Never),
    Rule::new("/floe.v1.Operator/ListHosts", Need::Viewer, Audit::Never),
    Rule::new("/floe.v1.Operator/ShowHost", Need::Viewer, Audit::Never),
    Rule::new("/floe.v1.Operator/HostLogs", Need::Viewer, Audit::Never),
    Rule::new("/floe.v1.Operator/BeginPublication", Need::Deployer, Audit::Always),
    Rule::new("/floe.v1.Operator/BeginNars", Need::Deployer, Audit::Always),
    Rule::new("/floe.v1.Operator/FinishPublication", Need::Deployer, Audit::Always),
    Rule::new("/floe.v1.Operator/StartRollout", Need::Deployer, Audit::Always),
    Rule::new("/floe.v1.Operator/TakeOverHost", Need::Deployer, Audit::Always),
    Rule::new("/floe.v1.Operator/CreateJoinToken", Need::Admin, Audit::Always),
    Rule::new("/floe.v1.Preview/BeginPreview", Need::Deployer, Audit::Always),
    Rule::new("/floe.v1.Preview/ShowPreview", Need::Deployer, Audit::Always),
    Rule::new("/floe.v1.RoleSecrets/ListRecipients", Need::Viewer, Audit::Never),
    Rule::new("/floe.v1.RoleSecrets/PublishSecrets", Need::Deployer, Audit::Always),
    Rule::new("/floe.v1.Trust/ShowRoots", Need::Viewer, Audit::Never),
    Rule::new("/floe.v1.Trust/PublishRoot", Need::Admin, Audit::Always),
    Rule::new("/floe.v1.Login/LogIn", Need::Anyone, Audit::Always),
    Rule::new("/floe.v1.Operators/List", Need::Viewer, Audit::Never),
    Rule::new("/floe.v1.Operators/Audit", Need::Viewer, Audit::Never),
    Rule::new("/floe.v1.Operators/Add", Need::Admin, Audit::Always),
    Rule::new("/floe.v1.Operators/Revoke", Need::Admin, Audit::Always),
    Rule::new("/floe.v1.Authority/ShowAuthority", Need::Viewer, Audit::Never),
    Rule::new("/floe.v1.Authority/RotateIssuer", Need::Admin, Audit::Always),
    Rule::new("/floe.v1.Authority/RetireIssuer", Need::Admin, Audit::Always),
    Rule::new("/floe.v1.Authority/RevokeHost", Need::Admin, Audit::Always),
    Rule::new("/floe.v1.Authority/ResolveHost", Need::Admin, Audit::Always),
];

impl Rule {
    const fn new(path: &'static str, need: Need, audit: Audit) -> Self {
        Self { path, need, audit }
    }

    /// The line of `path`; `None` for what is no method of ours.
    pub(super) fn of(path: &str) -> Option<&'static Self> {
        TABLE.iter().find(|rule| rule.path == path)
    }

    /// `SERVICE/METHOD`, for the audit log.
    pub(super) fn action(&self) -> &'static str {
        self.path.strip_prefix("/floe.v1.").unwrap_or(self.path)
    }

    /// Whether `caller` may.
    pub(super) fn admit(&self, caller: &Caller) -> Result<(), Status> {
        let least = match self.need {
            Need::Anyone => return Ok(()),
            Need::Host => return admit_host(caller),
            Need::Viewer => OperatorRole::Viewer,
            Need::Deployer => OperatorRole::Deployer,
            Need::Admin => OperatorRole::Admin,
        };
        match caller {
            Caller::Operator { role: Some(role), .. } if *role >= least => Ok(()),
            Caller::Operator { role: Some(role), name } => Err(Status::permission_denied(format!(
                "this needs the role `{least}`; operator `{name}` has `{role}`"
            ))),
            Caller::Operator { role: None, name } => Err(Status::permission_denied(format!(
                "operator `{name}` is not on record with this certificate: revoked, or logged in anew since"
            ))),
            Caller::Nobody => Err(stranger()),
            Caller::Host(_) | Caller::Control => {
                Err(Status::permission_denied("this is for operators only"))
            }
        }
    }
}

fn admit_host(caller: &Caller) -> Result<(), Status> {
    match caller {
        Caller::Host(_) => Ok(()),
        Caller::Nobody => Err(stranger()),
        Caller::Operator { .. } | Caller::Control => {
            Err(Status::permission_denied("this is for hosts only"))
        }
    }
}

fn stranger() -> Status {
    Status::unauthenticated("this needs a valid certificate of the fleet's CA")
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn operator(role: Option<OperatorRole>) -> Caller {
        Caller::Operator { name: "ada".into(), role }
    }

    #[test]
    fn t086_each_need_lets_in_exactly_whom_it_names() {
        let callers = [
            Caller::Nobody,
            Caller::Host("local-a".parse().unwrap()),
            Caller::Control,
            operator(None),
            operator(Some(OperatorRole::Viewer)),
            operator(Some(OperatorRole::Deployer)),
            operator(Some(OperatorRole::Admin)),
        ];
        for (need, expected) in [
            (Need::Anyone, [true; 7]),
            (Need::Host, [false, true, false, false, false, false, false]),
            (Need::Viewer, [false, false, false, false, true, true, true]),
            (Need::Deployer, [false, false, false, false, false, true, true]),
            (Need::Admin, [false, false, false, false, false, false, true]),
        ] {
            let rule = Rule::new("/floe.v1.X/Y", need, Audit::Never);
            let admitted: Vec<_> =
                callers.iter().map(|caller| rule.admit(caller).is_ok()).collect();
            assert_eq!(admitted, expected, "{need:?}");
        }
    }

    #[test]
    fn who_has_no_certificate_is_told_apart_from_who_has_the_wrong_one() {
        let rule = Rule::new("/floe.v1.X/Y", Need::Deployer, Audit::Never);
        let refusal = |caller| rule.admit(&caller).unwrap_err();
        assert_eq!(refusal(Caller::Nobody).code(), Code::Unauthenticated);
        assert_eq!(refusal(Caller::Control).code(), Code::PermissionDenied);
        let viewer = refusal(operator(Some(OperatorRole::Viewer)));
        assert_eq!(viewer.code(), Code::PermissionDenied);
        assert!(viewer.message().contains("`deployer`"), "{}", viewer.message());
    }

    #[test]
    fn only_the_exact_path_is_a_method() {
        assert!(Rule::of("/floe.v1.Operator/ListHosts").is_some());
        for path in [
            "/floe.v1.Operator/ListHosts/",
            "//floe.v1.Operator/ListHosts",
            "/floe.v1.Operator/listhosts",
            "/floe.v1.Operator/List%48osts",
            "/floe.v1.Operator/",
            "/",
            "",
        ] {
            assert_eq!(Rule::of(path), None, "{path}");
        }
    }

    #[test]
    fn who_may_change_something_leaves_a_trace() {
        for rule in TABLE {
            match rule.need {
                Need::Deployer | Need::Admin => assert_eq!(rule.audit, Audit::Always, "{rule:?}"),
                Need::Viewer => assert_eq!(rule.audit, Audit::Never, "{rule:?}"),
                Need::Anyone | Need::Host => {}
            }
        }
    }
}
