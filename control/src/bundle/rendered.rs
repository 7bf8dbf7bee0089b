//! The files of a role that are templates, rendered; and that nothing else holds a secret.
//!
//! What is rendered takes the place of its file in the payload, and so ends in the Nix store,
//! which every user of a host can read. Everything else that is packed is looked through.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;
use zeroize::Zeroizing;

use super::leaks::{Leak, Scan};
use super::selection;
use super::source::Source;
use crate::template::{self, Salts};
use crate::vault::Variables;

/// Text in place of files of a role. Does not print.
#[derive(Clone, Default)]
pub struct Rendered(Vec<(PathBuf, Zeroizing<String>)>);

impl Rendered {
    /// Renders the templates of `source`.
    ///
    /// # Errors
    ///
    /// [`Error`], naming the file.
    pub fn of(
        source: &Source,
        variables: &Variables,
        salts: &mut dyn Salts,
    ) -> Result<Self, Error> {
        let mut files = Vec::new();
        for inside in &source.settings.templates {
            let path = source.directory.join(inside);
            let unreadable = |source| Error::Unreadable { path: path.clone(), source };
            let found = fs::symlink_metadata(&path).map_err(unreadable)?;
            if !found.is_file() {
                return Err(Error::NotAFile { path });
            }
            if std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o100 != 0 {
                return Err(Error::Executable { path });
            }
            let text = fs::read_to_string(&path).map_err(unreadable)?;
            let name = format!("{}/{}", source.role, inside.display());
            files.push((inside.clone(), template::render(&name, &text, variables, salts)?));
        }
        Ok(Self(files))
    }

    /// Path below the role's directory, and text, of each.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.0.iter().map(|(path, text)| (path.as_path(), text.as_str()))
    }

    /// Whether the file `inside` the role's directory is one of them.
    pub fn holds(&self, inside: &Path) -> bool {
        self.0.iter().any(|(path, _)| path == inside)
    }
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(path, _)| path)).finish()
    }
}

/// Looks through everything of `source` that is packed and is no template.
///
/// # Errors
///
/// [`Error::Leaks`] where a secret stands in it.
pub fn refuse_leaks(source: &Source, scan: &Scan) -> Result<(), Error> {
    let mut leaks = Vec::new();
    let is_template = |inside: &Path| source.settings.templates.iter().any(|path| path == inside);
    look(&source.directory, scan, &mut leaks, |inside| {
        source.selection.leaves_out(inside) || is_template(inside)
    })?;
    for (_, tree) in &source.trees {
        look(tree, scan, &mut leaks, selection::is_litter)?;
    }
    if leaks.is_empty() { Ok(()) } else { Err(Error::Leaks(leaks)) }
}

fn look(
    tree: &Path,
    scan: &Scan,
    leaks: &mut Vec<Leak>,
    is_left_out: impl Fn(&Path) -> bool,
) -> Result<(), Error> {
    let inside = |path: &Path| path.strip_prefix(tree).unwrap_or(path).to_owned();
    let entries = WalkDir::new(tree).min_depth(1).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(|entry| !is_left_out(&inside(entry.path()))) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(tree).to_owned();
            Error::Unreadable { path, source: error.into() }
        })?;
        let path = entry.path();
        // Names and the targets of links are packed as well.
        leaks.extend(scan.find_in(path, inside(path).as_os_str().as_encoded_bytes()));
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        if entry.file_type().is_file() {
            leaks.extend(scan.find_in(path, &fs::read(path).map_err(unreadable)?));
        } else if entry.file_type().is_symlink() {
            let target = fs::read_link(path).map_err(unreadable)?;
            leaks.extend(scan.find_in(path, target.as_os_str().as_encoded_bytes()));
        }
    }
    Ok(())
}

/// Why a role's templates do not become a bundle.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory cannot be read.
    #[error("could not read `{}`", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// A template is a link or a directory.
    #[error("`{}` is a template of host.toml, and no plain file", path.display())]
    NotAFile {
        /// Which one.
        path: PathBuf,
    },
    /// A template may be executed, which a rendered file may not.
    #[error("`{}` is a template of host.toml, and executable", path.display())]
    Executable {
        /// Which one.
        path: PathBuf,
    },
    /// A template is not right.
    #[error(transparent)]
    Template(#[from] template::Error),
    /// A secret would be packed in a file that nobody marked.
    #[error("a secret would be in the bundle: {}", told(.0))]
    Leaks(Vec<Leak>),
}

fn told(leaks: &[Leak]) -> String {
    let told = leaks.iter().map(|Leak { file, line, secret, form }| {
        format!("`{}` line {line} holds `{secret}` {}", file.display(), form.name())
    });
    told.collect::<Vec<_>>().join("; ")
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> String {
        match self {
            Self::Unreadable { path, .. } => {
                format!("make sure that `{}` is readable", path.display())
            }
            Self::NotAFile { .. } => "name the file itself under [files] of host.toml".into(),
            Self::Executable { .. } => {
                "take its executable bit away; Nix can give it one: pkgs.writeShellScript".into()
            }
            Self::Template(error) => error.advice(),
            Self::Leaks(_) => {
                "make it a secret: [secrets] of host.toml; or take it for a template, with \
                 [files.\"FILE\"] template = true, and its value is in the Nix store of every host; \
                 an ordinary word that is no secret is named by `not_secret` in floe.toml"
                    .into()
            }
        }
    }

    /// Whether it must not be done.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Leaks(_) => true,
            Self::Unreadable { .. }
            | Self::NotAFile { .. }
            | Self::Executable { .. }
            | Self::Template(_) => false,
        }
    }
}

#[cfg(test)]
#[path = "rendered_tests.rs"]
mod tests;
