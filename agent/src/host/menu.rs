//! The boot menu of this machine, read.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::grub::Menu;
use super::paths::GRUB_CFG;
use crate::activation::state::Toplevel;

/// GRUB's menu; `None` where there is none.
///
/// # Errors
///
/// What the disk said.
pub fn read() -> io::Result<Option<Menu>> {
    match fs::read_to_string(GRUB_CFG) {
        Ok(text) => Ok(Some(Menu::parse(&text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a menu may call the init of `system`: NixOS's installer resolves links.
pub fn inits(system: &Toplevel) -> Vec<PathBuf> {
    let init = system.join("init");
    [init.canonicalize().ok(), Some(init)].into_iter().flatten().collect()
}

/// Whether the menu boots `system`. Where there is none, or it does not tell, nobody knows.
pub fn boots(system: &Toplevel) -> Option<bool> {
    read().ok()??.boots_by_default(&inits(system))
}
