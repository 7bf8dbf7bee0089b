//! Ansible's filters and tests that people use, beside those that minijinja brings along.
//!
//! Each does what its Python does (`ansible/plugins/filter/core.py`, `mathstuff.py`,
//! `jinja2/filters.py`); a table that real Ansible rendered is compared with it.

mod collection;
mod digest;
mod json;
mod number;
mod path;
mod pattern;
mod text;
mod yaml;

use minijinja::Environment;

use super::salted::Marked;
use super::salts::SaltDesk;

/// Makes them known to `environment`.
pub(super) fn add(environment: &mut Environment<'static>, desk: &SaltDesk, marked: &Marked) {
    collection::add(environment);
    digest::add(environment, desk, marked);
    json::add(environment);
    number::add(environment);
    path::add(environment);
    pattern::add(environment);
    text::add(environment);
    yaml::add(environment);
}
