//! Parts of paths, as text; nothing is looked up on a disk. As Python's `posixpath`.

use minijinja::value::{Rest, Value, ValueOrKwargs};
use minijinja::{Environment, Error};

use super::super::python;

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("basename", |value: Value| {
        let path = python::string(&value)?;
        Ok::<_, Error>(path.rsplit_once('/').map_or(path.as_str(), |(_, name)| name).to_owned())
    });
    environment.add_filter("dirname", |value: Value| {
        let path = python::string(&value)?;
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let bare = directory.trim_end_matches('/');
        let root = bare.is_empty() && path.starts_with('/');
        Ok::<_, Error>(if root { "/".repeat(directory.len().max(1)) } else { bare.to_owned() })
    });
    environment.add_filter("splitext", |value: Value| {
        let path = python::string(&value)?;
        let (stem, ending) = splitext(&path);
        Ok::<_, Error>(vec![stem.to_owned(), ending.to_owned()])
    });
    environment.add_filter("path_join", |value: Value, _: Rest<ValueOrKwargs>| {
        let parts: Vec<String> = match value.as_str() {
            Some(one) => vec![one.to_owned()],
            None => {
                value.try_iter()?.map(|part| python::string(&part)).collect::<Result<_, _>>()?
            }
        };
        Ok::<_, Error>(parts.into_iter().fold(String::new(), |path, part| {
            if part.starts_with('/') || path.is_empty() {
                part
            } else if path.ends_with('/') {
                path + &part
            } else {
                format!("{path}/{part}")
            }
        }))
    });
}

/// The ending begins at the last point of the name, unless only points stand before it.
fn splitext(path: &str) -> (&str, &str) {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    let begin = path[name..].find(|c| c != '.').map_or(path.len(), |at| name + at);
    match path[begin..].rfind('.') {
        Some(point) => path.split_at(begin + point),
        None => (path, ""),
    }
}
