//! What GRUB's menu says, as NixOS writes it (nixpkgs, install-grub.pl). Pure.
//!
//! Read and never written: NixOS's own installer does that. Only what has to be known
//! before a machine is rebooted into a system that is not its default is understood:
//! which entry boots what, which one is the default, and that a choice for one boot counts.

use std::path::{Path, PathBuf};

/// The name of the profile that gives a candidate an entry of its own. NixOS only lists
/// profiles whose name matches `\w+`.
pub const PROFILE_NAME: &str = "floe_trial";

/// A menu, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Menu {
    entries: Vec<Entry>,
    default: Option<String>,
    honours_a_choice: bool,
}

/// One thing that can be booted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// Titles of the submenus that it is in, and its own.
    path: Vec<String>,
    /// What the kernel is told to start: `init=`.
    init: Option<String>,
}

impl Menu {
    /// Reads `grub.cfg`.
    pub fn parse(text: &str) -> Self {
        let mut menu = Self::default();
        // The blocks that are open; those that are no menus have no title.
        let mut open: Vec<Option<String>> = Vec::new();
        for line in text.lines().map(str::trim) {
            let mut words = line.split_whitespace();
            let title = match words.next() {
                Some("menuentry" | "submenu") => quoted(line),
                Some("set") => {
                    menu.note_default(line);
                    None
                }
                Some("linux" | "linux16" | "linuxefi" | "multiboot" | "module" | "module2") => {
                    menu.note_init(line);
                    None
                }
                Some("if") if line.contains("next_entry") => {
                    menu.honours_a_choice = true;
                    None
                }
                Some(_) | None => None,
            };
            if line.ends_with('{') {
                open.push(title);
                if line.starts_with("menuentry") {
                    let path = open.iter().flatten().cloned().collect();
                    menu.entries.push(Entry { path, init: None });
                }
            } else if line == "}" {
                open.pop();
            }
        }
        menu
    }

    fn note_default(&mut self, line: &str) {
        let Some(value) = line.strip_prefix("set default=") else { return };
        let value = value.trim_matches(['"', '\'']);
        // The other one is the choice for one boot.
        if !value.starts_with('$') {
            self.default = Some(value.to_owned());
        }
    }

    fn note_init(&mut self, line: &str) {
        let init = line.split_whitespace().find_map(|word| word.strip_prefix("init="));
        if let (Some(init), Some(entry)) = (init, self.entries.last_mut()) {
            entry.init = Some(init.to_owned());
        }
    }

    /// Whether `grub-reboot` has an effect.
    pub fn honours_a_choice(&self) -> bool {
        self.honours_a_choice
    }

    /// Whether what boots unless something is chosen starts one of `inits`. `None` where the
    /// menu does not tell: its default is no number, and may be what was booted last.
    pub fn boots_by_default(&self, inits: &[PathBuf]) -> Option<bool> {
        let number: usize = self.default.as_deref()?.parse().ok()?;
        let mut seen: Vec<&str> = Vec::new();
        for entry in &self.entries {
            // A submenu counts once, wherever in it an entry is.
            let Some(top) = entry.path.first() else { continue };
            if seen.last() == Some(&top.as_str()) && entry.path.len() > 1 {
                continue;
            }
            if seen.len() == number {
                return Some(entry.path.len() == 1 && entry.boots(inits));
            }
            seen.push(top);
        }
        Some(false)
    }

    /// The entry of our profile that starts one of `inits`, as `grub-reboot` takes it.
    pub fn entry_of(&self, inits: &[PathBuf]) -> Option<String> {
        let ours = format!("'{PROFILE_NAME}'");
        let is_ours = |entry: &&Entry| match entry.path.as_slice() {
            [submenu, _] => submenu.ends_with(&ours) && entry.boots(inits),
            _ => false,
        };
        let entry = self.entries.iter().find(is_ours)?;
        // GRUB's manual, "default": a `>` of a title is written twice.
        Some(entry.path.iter().map(|title| title.replace('>', ">>")).collect::<Vec<_>>().join(">"))
    }
}

impl Entry {
    fn boots(&self, inits: &[PathBuf]) -> bool {
        self.init.as_deref().is_some_and(|init| inits.iter().any(|path| path == Path::new(init)))
    }
}

/// The first text in quotes.
fn quoted(line: &str) -> Option<String> {
    let begin = line.find(['"', '\''])?;
    let (quote, rest) = line.get(begin..)?.split_at(1);
    Some(rest.split_once(quote)?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init(name: &str) -> [PathBuf; 1] {
        [format!("/nix/store/{name}/init").into()]
    }

    /// As install-grub.pl lays it out, but for what is drawn.
    const CFG: &str = r#"
# Automatically generated.  DO NOT EDIT THIS FILE!
if [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "${next_entry}" ]; then
  set default="${next_entry}"
  set next_entry=
  save_env next_entry
  set timeout=1
  set boot_once=true
else
  set default=0
  set timeout=5
fi
menuentry "NixOS" --class nixos --unrestricted {
search --set=drive1 --fs-uuid 1234
  linux ($drive1)/nix/store/k/bzImage init=/nix/store/old/init loglevel=4
  initrd ($drive1)/nix/store/i/initrd
}
submenu "NixOS - All configurations" --class submenu {
menuentry "NixOS - Configuration 2 (2026-11-27 - 24.11)" --class nixos {
  linux ($drive1)/nix/store/k/bzImage init=/nix/store/older/init loglevel=4
}
menuentry "NixOS - Configuration 1 (2026-11-26 - 24.11)" --class nixos {
  linux ($drive1)/nix/store/k/bzImage init=/nix/store/new/init loglevel=4
}
}
submenu "NixOS - Profile 'floe_trial'" --class submenu {
menuentry "NixOS - Configuration 1 (2026-11-27 > 24.11)" --class nixos {
  linux ($drive1)/nix/store/k2/bzImage init=/nix/store/new/init loglevel=4
}
}
"#;

    #[test]
    fn the_default_is_the_entry_that_the_installer_ran_for() {
        let menu = Menu::parse(CFG);
        assert_eq!(menu.boots_by_default(&init("old")), Some(true));
        assert_eq!(menu.boots_by_default(&init("new")), Some(false));
        let elsewhere = Menu::parse(&CFG.replace("set default=0", "set default=2"));
        assert_eq!(elsewhere.boots_by_default(&init("old")), Some(false));
        let saved = Menu::parse(&CFG.replace("set default=0", "set default=\"${saved_entry}\""));
        assert_eq!(saved.boots_by_default(&init("old")), None, "nobody knows what was saved");
    }

    #[test]
    fn the_candidates_entry_is_that_of_our_profile_and_no_other() {
        let entry = Menu::parse(CFG).entry_of(&init("new")).unwrap();
        let expected = "NixOS - Profile 'floe_trial'>NixOS - Configuration 1 (2026-11-27 >> 24.11)";
        assert_eq!(entry, expected);
        assert_eq!(Menu::parse(CFG).entry_of(&init("older")), None);
        let another = CFG.replace("floe_trial", "comin");
        assert_eq!(Menu::parse(&another).entry_of(&init("new")), None);
    }

    #[test]
    fn a_menu_that_does_not_look_at_a_choice_is_told_from_one_that_does() {
        assert!(Menu::parse(CFG).honours_a_choice());
        assert!(!Menu::parse(&CFG.replace("next_entry", "other")).honours_a_choice());
        assert!(!Menu::parse("").honours_a_choice());
    }

    #[test]
    fn no_text_is_too_odd_to_be_read() {
        for odd in ["}", "menuentry {", "menuentry \"x {", "linux init=/x", "set default=", "{{{"] {
            assert_eq!(Menu::parse(odd).entry_of(&init("new")), None);
        }
    }
}
