//! Does a new system need a reboot, and may it have one? Pure.
//!
//! What is compared is what nixpkgs compares (`system.autoUpgrade`, docs/nixos.md 4.4),
//! and more: all that a switch of the running machine cannot bring about.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use floe_proto::reboot::Policy;
use serde::{Deserialize, Serialize};

use super::state::{Fault, Way};

/// Why a system only runs whole after a reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Another kernel.
    Kernel,
    /// Another initial ram disk.
    Initrd,
    /// Other kernel modules.
    Modules,
    /// Another kernel command line.
    Parameters,
    /// Another systemd.
    Systemd,
    /// Another init interface: switch-to-configuration refuses with 100.
    InitInterface,
    /// Another value of this inhibitor (`system.switch.inhibitors`): the pre-switch check
    /// refuses.
    Inhibitor(String),
}

impl Reason {
    /// Whether the running machine cannot be switched at all.
    fn forbids_a_switch(&self) -> bool {
        match self {
            Self::InitInterface | Self::Inhibitor(_) => true,
            Self::Kernel | Self::Initrd | Self::Modules | Self::Parameters | Self::Systemd => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel => f.write_str("kernel"),
            Self::Initrd => f.write_str("initrd"),
            Self::Modules => f.write_str("kernel modules"),
            Self::Parameters => f.write_str("kernel parameters"),
            Self::Systemd => f.write_str("systemd"),
            Self::InitInterface => f.write_str("init interface"),
            Self::Inhibitor(name) => write!(f, "inhibitor `{}`", name.escape_debug()),
        }
    }
}

/// What of a system is in force from its boot on. Links are resolved; what a system does
/// not have is `None`, and says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// `kernel`.
    pub kernel: Option<PathBuf>,
    /// `initrd`.
    pub initrd: Option<PathBuf>,
    /// `kernel-modules`.
    pub modules: Option<PathBuf>,
    /// `kernel-params`.
    pub parameters: Option<String>,
    /// `systemd`.
    pub systemd: Option<PathBuf>,
    /// `init-interface-version`.
    pub init_interface: Option<String>,
    /// `switch-inhibitors`; empty where there is no such file.
    pub inhibitors: BTreeMap<String, String>,
}

/// Why `to` only runs whole after a reboot, on a machine that was booted with `booted`
/// and runs `running` now.
pub fn reasons(booted: &Base, running: &Base, to: &Base) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut compare = |differs: bool, reason| {
        if differs {
            reasons.push(reason);
        }
    };
    compare(differ(&booted.kernel, &to.kernel), Reason::Kernel);
    compare(differ(&booted.initrd, &to.initrd), Reason::Initrd);
    compare(differ(&booted.modules, &to.modules), Reason::Modules);
    compare(differ(&booted.parameters, &to.parameters), Reason::Parameters);
    compare(differ(&booted.systemd, &to.systemd), Reason::Systemd);
    compare(differ(&running.init_interface, &to.init_interface), Reason::InitInterface);
    // As nixpkgs' pre-switch check does: a key that only one of both has inhibits nothing.
    let inhibits = |(name, value): &(&String, &String)| {
        running.inhibitors.get(*name).is_some_and(|before| before != *value)
    };
    let inhibitors = to.inhibitors.iter().filter(inhibits);
    reasons.extend(inhibitors.map(|(name, _)| Reason::Inhibitor(name.clone())));
    reasons
}

fn differ<T: PartialEq>(one: &Option<T>, other: &Option<T>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}

/// How the machine comes to run a system that would be rebooted into for `reasons`.
///
/// # Errors
///
/// Where it cannot be switched to, and may not be rebooted into.
pub fn way(policy: Policy, reasons: Vec<Reason>) -> Result<Way, Fault> {
    match policy {
        Policy::Always => Ok(Way::Reboot(reasons)),
        Policy::IfNeeded if !reasons.is_empty() => Ok(Way::Reboot(reasons)),
        Policy::IfNeeded | Policy::Never => {
            let forbidding: Vec<_> = reasons.into_iter().filter(Reason::forbids_a_switch).collect();
            if forbidding.is_empty() {
                return Ok(Way::Switch);
            }
            Err(Fault::new(format!(
                "the new system needs a reboot ({}), and hosts of this role never reboot; say `reboot = \"if-needed\"` in its host.toml",
                list(&forbidding)
            )))
        }
    }
}

/// The reasons in words; why nothing but the policy asks for it, where there is none.
pub fn list(reasons: &[Reason]) -> String {
    if reasons.is_empty() {
        return "as the role's policy has it".to_owned();
    }
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Base {
        let path = |name: &str| Some(PathBuf::from(format!("/nix/store/{name}")));
        Base {
            kernel: path("linux-6.6/bzImage"),
            initrd: path("initrd-1/initrd"),
            modules: path("modules-6.6"),
            parameters: Some("loglevel=4".into()),
            systemd: path("systemd-256"),
            init_interface: Some("systemd 2".into()),
            inhibitors: [("dbus-implementation".into(), "dbus".into())].into(),
        }
    }

    #[test]
    fn a_system_with_the_same_base_needs_no_reboot() {
        assert_eq!(reasons(&base(), &base(), &base()), []);
        assert_eq!(
            reasons(&Base::default(), &base(), &base()),
            [],
            "what is not known is no reason"
        );
    }

    #[test]
    fn each_part_of_the_base_is_a_reason() {
        let other: Option<PathBuf> = Some("/nix/store/other".into());
        let broker = [("dbus-implementation".to_owned(), "broker".to_owned())];
        let cases = [
            (Base { kernel: other.clone(), ..base() }, Reason::Kernel),
            (Base { initrd: other.clone(), ..base() }, Reason::Initrd),
            (Base { modules: other.clone(), ..base() }, Reason::Modules),
            (Base { systemd: other, ..base() }, Reason::Systemd),
            (Base { parameters: Some("quiet".into()), ..base() }, Reason::Parameters),
            (Base { init_interface: Some("3".into()), ..base() }, Reason::InitInterface),
            (
                Base { inhibitors: broker.into(), ..base() },
                Reason::Inhibitor("dbus-implementation".into()),
            ),
        ];
        for (to, reason) in cases {
            assert_eq!(reasons(&base(), &base(), &to), [reason]);
        }
    }

    #[test]
    fn what_was_switched_to_since_the_boot_does_not_hide_an_old_kernel() {
        let newer = Base { kernel: Some("/nix/store/newer".into()), ..base() };
        assert_eq!(reasons(&base(), &newer, &newer), [Reason::Kernel]);
    }

    #[test]
    fn an_inhibitor_that_is_new_inhibits_nothing() {
        let mut to = base();
        to.inhibitors.insert("fstab".into(), "1".into());
        assert_eq!(reasons(&base(), &base(), &to), []);
        assert_eq!(reasons(&base(), &to, &base()), []);
    }

    #[test]
    fn the_policy_decides_and_what_cannot_be_switched_to_is_refused_without_one() {
        let kernel = || vec![Reason::Kernel];
        assert_eq!(way(Policy::Never, kernel()), Ok(Way::Switch));
        assert_eq!(way(Policy::IfNeeded, kernel()), Ok(Way::Reboot(kernel())));
        assert_eq!(way(Policy::IfNeeded, vec![]), Ok(Way::Switch));
        assert_eq!(way(Policy::Always, vec![]), Ok(Way::Reboot(vec![])));
        let refused = way(Policy::Never, vec![Reason::Kernel, Reason::InitInterface]).unwrap_err();
        assert!(refused.as_str().contains("(init interface)"), "{refused}");
    }
}
