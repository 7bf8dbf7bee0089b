//! The generations of the system profile, and which of them are too many.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use floe_proto::time::Timestamp;

use super::system;
use crate::activation::state::Toplevel;

/// One generation of the system profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// When it was made.
    pub made: Timestamp,
    /// Its system; `None` where that is gone.
    pub system: Option<Toplevel>,
}

/// Which generations stay, beside those that must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// So many of the newest,
    pub keep: u32,
    /// and those that are younger than this.
    pub older_than: Duration,
}

/// What must stay whatever the policy says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Systems that are booted, run, would boot, or may be gone back to.
    pub systems: BTreeSet<Toplevel>,
    /// The generation that the profile points at.
    pub current: Option<u64>,
}

/// The numbers of those that go, lowest first. Pure.
pub fn surplus(all: &[Generation], policy: Policy, kept: &Kept, now: Timestamp) -> Vec<u64> {
    let mut newest_first: Vec<_> = all.iter().collect();
    newest_first.sort_by_key(|generation| std::cmp::Reverse(generation.number));
    let newest = usize::try_from(policy.keep).unwrap_or(usize::MAX);
    let goes = |generation: &&&Generation| {
        let is_kept = generation.system.as_ref().is_some_and(|it| kept.systems.contains(it));
        let is_old = generation.made.after(policy.older_than) <= now;
        !is_kept && is_old && kept.current != Some(generation.number)
    };
    let mut numbers: Vec<_> =
        newest_first.iter().skip(newest).filter(goes).map(|generation| generation.number).collect();
    numbers.sort_unstable();
    numbers
}

/// The generations of the profile `profile`.
///
/// # Errors
///
/// What the disk said.
pub fn read(profile: &Path) -> io::Result<(Vec<Generation>, Option<u64>)> {
    let (Some(directory), Some(name)) = (profile.parent(), profile.file_name()) else {
        return Ok((Vec::new(), None));
    };
    let name = name.to_string_lossy();
    let mut all = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Some(number) = number(&entry.file_name().to_string_lossy(), &name) else { continue };
        let made = fs::symlink_metadata(entry.path())?.modified()?.into();
        all.push(Generation { number, made, system: system::toplevel(&entry.path()) });
    }
    all.sort_by_key(|generation| generation.number);
    let link = fs::read_link(profile)?;
    let current = link.file_name().and_then(|link| number(&link.to_string_lossy(), &name));
    Ok((all, current))
}

/// `system-12-link` of `system` is 12 (Nix' manual, "Profiles").
fn number(link: &str, profile: &str) -> Option<u64> {
    let rest = link.strip_prefix(profile)?.strip_prefix('-')?;
    rest.strip_suffix("-link")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn system(name: &str) -> Toplevel {
        format!("/nix/store/{name}").parse().unwrap()
    }

    /// Generation N was made on day N and is the system `sN`.
    fn all(numbers: std::ops::RangeInclusive<u32>) -> Vec<Generation> {
        let one = |number: u32| Generation {
            number: number.into(),
            made: Timestamp::default().after(DAY * number),
            system: Some(system(&format!("s{number}"))),
        };
        numbers.map(one).collect()
    }

    fn goes(keep: u32, days: u32, kept: &Kept) -> Vec<u64> {
        let now = Timestamp::default().after(DAY * 10);
        surplus(&all(1..=10), Policy { keep, older_than: DAY * days }, kept, now)
    }

    #[test]
    fn those_go_that_are_neither_new_enough_nor_young_enough() {
        let none = Kept::default();
        assert_eq!(goes(3, 0, &none), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(goes(0, 7, &none), [1, 2, 3]);
        assert_eq!(goes(8, 7, &none), [1, 2]);
        assert_eq!(goes(20, 0, &none), [] as [u64; 0]);
    }

    #[test]
    fn what_must_stay_stays_whatever_the_policy_says() {
        let systems = [system("s2"), system("s4")].into();
        let kept = Kept { systems, current: Some(6) };
        assert_eq!(goes(0, 0, &kept), [1, 3, 5, 7, 8, 9, 10]);
    }

    #[test]
    fn generations_are_told_from_what_else_lies_there() {
        assert_eq!(number("system-12-link", "system"), Some(12));
        for other in ["system", "system-profiles", "system-x-link", "default-1-link"] {
            assert_eq!(number(other, "system"), None, "{other}");
        }
        let dir = tempfile::tempdir().unwrap();
        for link in ["system-1-link", "system-2-link"] {
            std::os::unix::fs::symlink("/nix/store/gone", dir.path().join(link)).unwrap();
        }
        std::os::unix::fs::symlink("system-2-link", dir.path().join("system")).unwrap();
        let (all, current) = read(&dir.path().join("system")).unwrap();
        assert_eq!((all.len(), current), (2, Some(2)));
        assert_eq!(all[0].system, None);
    }
}
