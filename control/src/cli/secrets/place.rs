//! Where the value of a secret stands: a variable of a sealed file, or a file of age's; what it
//! is there, and who else uses it.

use std::path::PathBuf;

use floe_proto::id::Role;
use floe_proto::secret::Name;
use zeroize::Zeroizing;

use crate::cli::context::Context;
use crate::cli::end::Stopped;
use crate::cli::vault::VaultArgs;
use crate::cli::view::secrets::UserView;
use crate::repository::suggest::did_you_mean;
use crate::repository::{Repository, SecretEntry, SecretSource};
use crate::secrets::age_file::{self, Encrypted};
use crate::template;
use crate::vault::{Edited, OpenFile, Password, Route, Tree, Variables, variables};

/// Variables that name variables that name variables.
const MAX_HOPS: usize = 50;

/// Where the value of a secret stands.
pub(super) enum Place {
    /// A variable, of the file that says it.
    Variable { file: OpenFile, route: Route, value: Tree, password: Password },
    /// A file of its own.
    Age(PathBuf),
}

/// A file with another value in it, not written yet.
pub(super) enum Changed {
    Variables(Edited),
    Age(Encrypted),
}

impl Changed {
    pub(super) fn write(&self) -> anyhow::Result<()> {
        match self {
            Self::Variables(edited) => edited.write()?,
            Self::Age(encrypted) => encrypted.write()?,
        }
        Ok(())
    }
}

/// The secret `name` of `role`, as host.toml has it.
pub(super) fn entry(
    repository: &Repository,
    role: &Role,
    name: &Name,
) -> anyhow::Result<SecretEntry> {
    let mut entries = repository.host_file(role)?.secrets;
    if let Some(at) = entries.iter().position(|entry| entry.name == *name) {
        return Ok(entries.swap_remove(at));
    }
    let known: Vec<_> = entries.iter().map(|entry| entry.name.to_string()).collect();
    let listed = || match known.is_empty() {
        true => "say which there are in `[secrets]` of host.toml".to_owned(),
        false => format!("one of: {}", known.join(", ")),
    };
    let advice = did_you_mean(&name.to_string(), known.iter().map(String::as_str));
    let advice = advice.unwrap_or_else(listed);
    Err(Stopped::failed(format!("`{role}` has no secret `{name}`"), advice).into())
}

impl Place {
    /// Of the secret `entry` of `role`. May ask for the password of the vault.
    pub(super) async fn of(
        entry: &SecretEntry,
        role: &Role,
        context: &Context,
        repository: &Repository,
        vault: &VaultArgs,
    ) -> anyhow::Result<Self> {
        let template = match &entry.source {
            SecretSource::Age(file) => return Ok(Self::Age(repository.root().join(file))),
            SecretSource::Value(template) => template,
        };
        let name = format!("{role}/[secrets.{}]", entry.name);
        let password = match Variables::need_password(repository.root(), role.as_str())? {
            true => Some(vault.needed_password(context, repository).await?),
            false => None,
        };
        let known = Variables::read(repository.root(), role.as_str(), password.as_ref())?;
        let (route, value) = followed(&name, template, &known)?;
        let root = repository.root();
        let file = Variables::holder(root, role.as_str(), &route, password.as_ref())?;
        let gone = || not_there(&name, &route);
        let file = file.ok_or_else(gone)?;
        let Some(password) = password else {
            let (path, variable) = (file.shown().to_owned(), route.to_string());
            return Err(variables::Error::Clear { path, variable }.into());
        };
        Ok(Self::Variable { file, route, value, password })
    }

    /// The file, relative to the repository.
    pub(super) fn file(&self, repository: &Repository) -> String {
        match self {
            Self::Variable { file, .. } => file.shown().display().to_string(),
            Self::Age(path) => {
                path.strip_prefix(repository.root()).unwrap_or(path).display().to_string()
            }
        }
    }

    /// The variable, where it is one.
    pub(super) fn variable(&self) -> Option<String> {
        match self {
            Self::Variable { route, .. } => Some(route.to_string()),
            Self::Age(_) => None,
        }
    }

    /// The password that it took.
    pub(super) fn password(&self) -> Option<&Password> {
        match self {
            Self::Variable { password, .. } => Some(password),
            Self::Age(_) => None,
        }
    }

    /// Whether the value is one line of text now, as passwords are: nothing that only a person
    /// can make. A file that is not there yet may be anything.
    pub(super) fn is_one_line(&self, context: &Context) -> anyhow::Result<bool> {
        match self {
            Self::Variable { value, .. } => Ok(match value {
                Tree::Text(text) | Tree::Verbatim(text) => !text.trim_end().contains('\n'),
                Tree::Null | Tree::Int(_) => true,
                Tree::Bool(_) | Tree::Float(_) | Tree::List(_) | Tree::Map(_) => false,
            }),
            Self::Age(path) if !path.exists() => Ok(true),
            Self::Age(path) => {
                let content = age_file::decrypt(path, context.environment())?;
                let text = std::str::from_utf8(&content);
                Ok(text.is_ok_and(|text| !text.trim_end().contains('\n')))
            }
        }
    }

    /// The file with `value` in this place.
    pub(super) fn with(
        &self,
        value: &[u8],
        context: &Context,
        repository: &Repository,
    ) -> anyhow::Result<Changed> {
        match self {
            Self::Variable { file, route, password, .. } => {
                let not_text = |_| {
                    let advice = "a file of bytes can be a secret by itself: age = \"…\"";
                    Stopped::failed("the value is no UTF-8 text, as variables are", advice)
                };
                let text = std::str::from_utf8(value).map_err(not_text)?;
                if template::is_template(text) {
                    let advice = "write `!unsafe` before it: floe secrets edit";
                    let what =
                        "the value would be taken for a template, as it has `{{`, `{%` or `{#`";
                    return Err(Stopped::failed(what, advice).into());
                }
                Ok(Changed::Variables(file.with(route, text, password)?))
            }
            Self::Age(path) => {
                let (to, environment) = (&repository.file().age_recipients, context.environment());
                Ok(Changed::Age(age_file::encrypt(path, value, to, environment)?))
            }
        }
    }

    /// Every secret of any role that has its value from here, and every template file.
    pub(super) fn users(
        &self,
        repository: &Repository,
    ) -> anyhow::Result<(Vec<UserView>, Vec<String>)> {
        let (mut users, mut files) = (Vec::new(), Vec::new());
        for role in repository.roles() {
            // What is wrong with another role keeps nobody from changing a secret of this one.
            let Ok(settings) = repository.host_file(&role) else { continue };
            for entry in &settings.secrets {
                let name = format!("{role}/[secrets.{}]", entry.name);
                let is_user = match (&entry.source, self) {
                    (SecretSource::Age(file), Self::Age(path)) => {
                        repository.root().join(file) == *path
                    }
                    (SecretSource::Value(text), Self::Variable { .. }) => {
                        self.is_named_by(&name, text, &role, repository)?
                    }
                    (SecretSource::Age(_), Self::Variable { .. })
                    | (SecretSource::Value(_), Self::Age(_)) => false,
                };
                if is_user {
                    users.push(UserView::new(&role, entry));
                }
            }
            let directory = repository.role_directory(&role)?;
            for inside in &settings.templates {
                let Ok(text) = std::fs::read_to_string(directory.join(inside)) else { continue };
                let name = format!("{role}/{}", inside.display());
                if self.is_named_by(&name, &text, &role, repository)? {
                    files.push(format!("hosts/{name}"));
                }
            }
        }
        Ok((users, files))
    }

    /// Whether the template `text` of `role` names this variable, by itself or by others.
    fn is_named_by(
        &self,
        name: &str,
        text: &str,
        role: &Role,
        repository: &Repository,
    ) -> anyhow::Result<bool> {
        let Self::Variable { file, route, password, .. } = self else { return Ok(false) };
        let (root, password) = (repository.root(), Some(password));
        let holder = Variables::holder(root, role.as_str(), route, password)?;
        if holder.is_none_or(|holder| holder.shown() != file.shown()) {
            return Ok(false); // it has another of this name
        }
        let known = Variables::read(root, role.as_str(), password)?;
        let mut open: Vec<Route> = template::variables(name, text).into_iter().flatten().collect();
        let mut seen = Vec::new();
        while let Some(next) = open.pop() {
            if next.meets(route) {
                return Ok(true);
            }
            if let Some(Tree::Text(text)) = next.value(known.tree())
                && !seen.contains(&next)
                && template::is_template(text)
            {
                open.extend(template::variables(name, text).into_iter().flatten());
            }
            seen.push(next);
        }
        Ok(false)
    }
}

/// The one variable that the template `text` is made of, and its value: where that is a template
/// of one variable itself, the variable behind it.
fn followed(name: &str, text: &str, known: &Variables) -> anyhow::Result<(Route, Tree)> {
    let mut text = Zeroizing::new(text.to_owned());
    for _ in 0..MAX_HOPS {
        let named: Vec<_> = template::variables(name, &text)?.into_iter().collect();
        let [route] = <[Route; 1]>::try_from(named).map_err(|named| {
            let listed: Vec<_> = named.iter().map(|route| format!("`{route}`")).collect();
            let what = match listed.is_empty() {
                true => format!("`{name}` is made of no variable"),
                false => format!("`{name}` is made of several variables: {}", listed.join(", ")),
            };
            Stopped::failed(what, "change the right one by hand: floe secrets edit")
        })?;
        match route.value(known.tree()) {
            Some(Tree::Text(inner)) if template::is_template(inner) => text = inner.clone(),
            Some(value) => return Ok((route, value.clone())),
            None => return Err(not_there(name, &route).into()),
        }
    }
    let what = format!("`{name}` is made of variables that name each other");
    Err(Stopped::failed(what, "change them by hand: floe secrets edit").into())
}

fn not_there(name: &str, route: &Route) -> Stopped {
    Stopped::failed(
        format!("`{name}` is made of `{route}`, which is not there"),
        "add it to the vault: floe secrets edit",
    )
}
