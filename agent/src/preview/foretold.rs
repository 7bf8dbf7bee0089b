//! What Nix says before it builds, and `switch-to-configuration` before it switches: words for
//! people, of which there is no other form.
//!
//! `dry-activate`: nixpkgs, pkgs/by-name/sw/switch-to-configuration-ng/src/main.rs ("would …
//! the following units: "); the program that was before it says the same. Its manual page says
//! that the list is not guaranteed to be complete. Nix: src/libmain/shared.cc,
//! `printMissing`. What is not understood is kept, or counts as nothing.

use super::difference::{Effort, Units};

/// What `dry-activate` said; `None` where it did not come to the point at which it would activate
/// the new system, which it says last or in the midst of it.
pub fn units(lines: &[String]) -> Option<Units> {
    let mut units = Units::default();
    let mut is_whole = false;
    for line in lines {
        let line = line.trim();
        let Some(would) = line.strip_prefix("would ") else { continue };
        let list = |verb: &str, what: &str| {
            let rest = would.strip_prefix(verb)?.strip_prefix(" the following ")?;
            let names = rest.strip_prefix(what)?.strip_prefix(':')?;
            Some(names.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>())
        };
        if let Some(names) = list("stop", "units") {
            units.stop.extend(names);
        } else if let Some(names) = list("NOT stop", "changed units") {
            units.left_alone.extend(names);
        } else if let Some(names) = list("restart", "units") {
            units.restart.extend(names);
        } else if let Some(names) = list("reload", "units") {
            units.reload.extend(names);
        } else if let Some(names) = list("start", "units") {
            units.start.extend(names);
        } else if would.starts_with("activate the configuration") {
            is_whole = true;
        } else {
            units.other.push(would.to_owned());
        }
    }
    is_whole.then_some(units)
}

/// What a build that is only foretold said.
pub fn effort(lines: &[String]) -> Effort {
    let mut effort = Effort::default();
    for line in lines {
        let Some((count, rest)) = counted(line.trim()) else { continue };
        if rest.starts_with("will be built") {
            effort.built = count;
        } else if let Some(rest) = rest.strip_prefix("will be fetched") {
            effort.fetched = count;
            let sizes = rest.trim_start().trim_start_matches('(');
            let (download, unpacked) = sizes.split_once(',').unwrap_or((sizes, ""));
            effort.download = bytes(download).unwrap_or(0);
            effort.unpacked = bytes(unpacked).unwrap_or(0);
        }
    }
    effort
}

/// `these 3 derivations will be built:` → (3, `will be built:`).
fn counted(line: &str) -> Option<(u32, &str)> {
    let singular = |noun: &str| Some((1, line.strip_prefix("this ")?.strip_prefix(noun)?));
    let plural = |noun: &str| {
        let (count, rest) = line.strip_prefix("these ")?.split_once(' ')?;
        Some((count.parse().ok()?, rest.strip_prefix(noun)?))
    };
    let nouns = ["derivation ", "path "].into_iter().find_map(singular);
    nouns.or_else(|| ["derivations ", "paths "].into_iter().find_map(plural))
}

/// `12.5 MiB download` → bytes.
fn bytes(text: &str) -> Option<u64> {
    let mut words = text.split_whitespace();
    let (number, unit) = (words.next()?, words.next()?);
    let factor: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    // Two places behind the point are what Nix prints.
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let part = part.get(..part.len().min(2))?;
    let hundredths = if part.len() == 1 { 10 } else { 1 };
    let part: u64 = part.parse::<u64>().ok()?.checked_mul(hundredths)?;
    whole.parse::<u64>().ok()?.checked_mul(factor)?.checked_add(part * factor / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_dry_activate_says_is_read() {
        let said = lines(
            "would stop the following units: old.service, old.timer\n\
             would NOT stop the following changed units: getty@tty1.service\n\
             would activate the configuration...\n\
             would reload the following units: dbus.service\n\
             would restart systemd\n\
             would restart the following units: nginx.service, sshd.service\n\
             would start the following units: new.service\n\
             something else",
        );
        let Units { stop, start, restart, reload, left_alone, other } = units(&said).unwrap();
        assert_eq!(stop, ["old.service", "old.timer"]);
        assert_eq!(start, ["new.service"]);
        assert_eq!(restart, ["nginx.service", "sshd.service"]);
        assert_eq!(reload, ["dbus.service"]);
        assert_eq!(left_alone, ["getty@tty1.service"]);
        assert_eq!(other, ["restart systemd"]);
        assert_eq!(units(&said[..1]), None, "cut short");
        assert_eq!(units(&[]), None);
    }

    #[test]
    fn what_nix_foretells_is_read() {
        let said = lines(
            "these 2 derivations will be built:\n  /nix/store/a.drv\n  /nix/store/b.drv\n\
             these 12 paths will be fetched (3.50 MiB download, 1.25 GiB unpacked):\n  /nix/store/c",
        );
        let expected = Effort { fetched: 12, download: 7 << 19, unpacked: 5 << 28, built: 2 };
        assert_eq!(effort(&said), expected);
        let one = lines(
            "this derivation will be built:\n\
             this path will be fetched (0.01 MiB download, 0.05 MiB unpacked):",
        );
        let Effort { fetched, download, built, .. } = effort(&one);
        assert_eq!((fetched, download, built), (1, (1 << 20) / 100, 1));
        assert_eq!(effort(&[]), Effort::default());
    }

    #[test]
    fn what_is_no_number_counts_as_nothing() {
        for text in ["", "x MiB", "1 parsec", "1.€ MiB", "99999999999999999999 GiB"] {
            assert_eq!(bytes(text), None, "{text}");
        }
        assert_eq!(bytes("1.5 KiB download"), Some(1536));
        assert_eq!(bytes("17 B"), Some(17));
    }
}
