//! The repository that is imported, read once: everything else is a function of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use walkdir::WalkDir;

use super::error::Error;

/// More than any repository of this kind has, directories and links included.
const MOST_FILES: usize = 20_000;

/// Longer than anything that is read or copied.
const MOST_BYTES: u64 = 16 << 20;

/// More than all files of such a repository have together: they are held in memory.
const MOST_BYTES_OF_ALL: usize = 128 << 20;

/// Deeper than anybody nests directories.
const DEEPEST: usize = 64;

/// The files of a repository, by their paths in it with `/` between the parts.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    name: String,
    files: BTreeMap<String, Vec<u8>>,
    unread: Vec<(String, &'static str)>,
}

impl Tree {
    /// Reads `directory`; what git and editors keep there is passed over.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] and [`Error::TooMuch`].
    pub fn read(directory: &Path) -> Result<Self, Error> {
        let unreadable = |path: &Path, source| Error::Read { path: path.to_owned(), source };
        let root = directory.canonicalize().map_err(|source| unreadable(directory, source))?;
        let name = root.file_name().map(|name| name.to_string_lossy().into_owned());
        let mut tree = Self { name: name.unwrap_or_default(), ..Self::default() };
        let too_much = |most, of_what| {
            Err(Error::too_much(format!("`{}`", directory.display()), most, of_what))
        };
        let (mut entries, mut bytes_of_all) = (0_usize, 0_usize);
        let walk = WalkDir::new(&root).max_depth(DEEPEST + 1).sort_by_file_name().into_iter();
        for entry in walk.filter_entry(|entry| !is_litter(&entry.file_name().to_string_lossy())) {
            let entry = entry.map_err(|error| unreadable(directory, error.into()))?;
            let inside = entry.path().strip_prefix(&root).unwrap_or_else(|_| entry.path());
            let inside = inside.to_string_lossy().into_owned();
            entries += 1;
            if entries > MOST_FILES {
                return too_much(MOST_FILES, "files");
            }
            if entry.depth() > DEEPEST {
                return too_much(DEEPEST, "levels of directories");
            }
            if entry.file_type().is_dir() {
                continue;
            }
            if !entry.file_type().is_file() {
                tree.unread.push((inside, "it is a link, or no file"));
                continue;
            }
            let bytes = read(entry.path()).map_err(|error| unreadable(entry.path(), error))?;
            let Some(bytes) = bytes else {
                tree.unread.push((inside, "it is larger than 16 MiB"));
                continue;
            };
            bytes_of_all += bytes.len();
            if bytes_of_all > MOST_BYTES_OF_ALL {
                return too_much(MOST_BYTES_OF_ALL >> 20, "MiB of files");
            }
            tree.files.insert(inside, bytes);
        }
        Ok(tree)
    }

    /// The directory's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of all files, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// What was not read, and why.
    pub(super) fn unread(&self) -> &[(String, &'static str)] {
        &self.unread
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// The text of `name`, without what Windows adds to it: a mark before, and returns
    /// before line feeds. Lines keep their numbers.
    pub(super) fn text(&self, name: &str) -> Result<String, Error> {
        let not_text = || Error::NotText { file: name.to_owned() };
        let text = str::from_utf8(self.bytes(name).ok_or_else(not_text)?);
        let text = text.map_err(|_| not_text())?;
        Ok(text.trim_start_matches('\u{feff}').replace("\r\n", "\n"))
    }

    /// The files below `directory`, in order.
    pub(super) fn below(&self, directory: &str) -> impl Iterator<Item = &str> {
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let names = self.files.range(prefix.clone()..).map(|(name, _)| name.as_str());
        names.take_while(move |name| name.starts_with(&prefix))
    }
}

/// The bytes of a file; `None` where it is too large.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let length = File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((length as u64 <= MOST_BYTES).then_some(bytes))
}

fn is_litter(name: &str) -> bool {
    matches!(name, ".git" | ".hg" | ".svn" | ".terraform" | "node_modules" | "packer_cache")
        || name.ends_with('~')
        || name.ends_with(".swp")
        || name.ends_with(".retry")
}

/// The directory that the file `name` lies in.
pub(super) fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// The last part of a path.
pub(super) fn base(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, base)| base)
}

/// Whether a file called so holds a secret in the clear, as people call such files.
pub(super) fn looks_secret(name: &str) -> bool {
    let stem = base(name).to_lowercase();
    let words = ["password", "passwd", "vault_pass", "vault-pass", ".pem", "id_rsa", "id_ed25519"];
    words.iter().any(|word| stem.contains(word)) && !stem.ends_with(".pub")
}

/// `path` as seen from `directory`, without `.` and `..`; `None` where it leads out of the
/// repository, or is absolute.
pub(super) fn join(directory: &str, path: &str) -> Option<String> {
    if path.starts_with('/') || path.starts_with('~') {
        return None;
    }
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
impl Tree {
    /// A repository of these files.
    pub(super) fn of(name: &str, files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
        Self { name: name.to_owned(), files: files.collect(), unread: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_path_does_not_lead_out() {
        assert_eq!(join("hosts/www", "../db/x.nix").as_deref(), Some("hosts/db/x.nix"));
        assert_eq!(join("", "./a//b").as_deref(), Some("a/b"));
        assert_eq!(join("hosts", "../../x"), None);
        assert_eq!(join("hosts", "/etc/passwd"), None);
    }

    #[test]
    fn what_git_keeps_is_not_read_and_links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join(".git")).unwrap();
        fs::write(root.join(".git/config"), "x").unwrap();
        fs::write(root.join("a.nix"), "{ }\r\n").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("b")).unwrap();
        let tree = Tree::read(root).unwrap();
        assert_eq!(tree.names().collect::<Vec<_>>(), ["a.nix"]);
        assert_eq!(tree.text("a.nix").unwrap(), "{ }\n");
        assert_eq!(tree.unread()[0].0, "b");
    }

    #[test]
    fn what_is_too_large_together_or_too_deep_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for number in 0..9 {
            let file = File::create(root.join(format!("{number}"))).unwrap();
            file.set_len(MOST_BYTES - 1).unwrap();
        }
        let error = Tree::read(root).unwrap_err().to_string();
        assert!(error.contains("128 MiB of files"), "{error}");
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("d/".repeat(DEEPEST + 2))).unwrap();
        let error = Tree::read(directory.path()).unwrap_err().to_string();
        assert!(error.contains("levels of directories"), "{error}");
    }
}
