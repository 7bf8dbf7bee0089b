//! One template becomes text, or an error with file and line.
//!
//! What minijinja copies on the way (values that filters give, its output while it grows)
//! is not wiped: it has no way to. What is returned is.

use std::panic;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior};
use zeroize::Zeroizing;

use super::error::Error;
use super::salted::Marked;
use super::salts::{Request, SaltDesk, Salts};
use super::scope::Shared;
use super::{filters, python, refused};
use crate::vault::Variables;

/// Whether there is anything in `text` to render.
pub fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}

/// Renders `text`, which errors call `name`. Salts are kept under `<name>#<expression>`.
///
/// # Errors
///
/// [`Error`], with file, line, and what was undefined.
pub fn render(
    name: &str,
    text: &str,
    variables: &Variables,
    salts: &mut dyn Salts,
) -> Result<Zeroizing<String>, Error> {
    let (desk, requests) = SaltDesk::open(name);
    // Filters must own what they use, and `salts` is only lent: so the template is drawn on a
    // thread of its own, which asks for salts by a channel. Its stack is for nested variables.
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(STACK);
        let drawing = builder
            .spawn_scoped(scope, move || draw(name, text, variables, desk))
            .map_err(|source| Error::Thread { name: name.to_owned(), source })?;
        answer(&requests, salts);
        drawing.join().unwrap_or_else(|payload| panic::resume_unwind(payload))
    })
}

/// Ends when the last who could ask is gone.
fn answer(requests: &Receiver<Request>, salts: &mut dyn Salts) {
    for request in requests {
        let salt = salts.salt(&request.key, &request.older, request.algorithm);
        // Who does not wait for it any more does not need it.
        let _ = request.answer.send(salt);
    }
}

fn draw(
    name: &str,
    text: &str,
    variables: &Variables,
    desk: SaltDesk,
) -> Result<Zeroizing<String>, Error> {
    let shared = Arc::new(Shared::new(variables.tree().clone(), desk));
    let marked = Marked::of(text, None);
    let environment = environment(&shared, &marked);
    let rendered = environment
        .template_from_named_str(name, body(&marked.text))
        .and_then(|template| template.render(shared.root()));
    rendered
        .map(|out| Zeroizing::new(ended(out, text)))
        .map_err(|error| Error::new(name, &error, variables.tree()))
}

/// What Jinja renders of a template: all but its last newline.
pub(super) fn body(text: &str) -> &str {
    text.strip_suffix('\n').unwrap_or(text)
}

/// As Ansible does, the newlines that a template ends with and its rendering lacks are put
/// back.
pub(super) fn ended(mut out: String, text: &str) -> String {
    let newlines = |text: &str| text.len() - text.trim_end_matches('\n').len();
    let missing = newlines(text).saturating_sub(newlines(&out));
    out.extend(std::iter::repeat_n('\n', missing));
    out
}

/// Everything that a template may use.
pub(super) fn environment(shared: &Arc<Shared>, marked: &Marked) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_debug(true); // names what was undefined
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_syntax(syntax());
    environment.set_formatter(python::format);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    filters::add(&mut environment, shared.desk(), marked);
    refused::add(&mut environment);
    environment
}

/// As Ansible's `template` module has it.
pub(super) fn syntax() -> SyntaxConfig {
    let syntax = SyntaxConfig::builder().trim_blocks(true).keep_trailing_newline(true).build();
    syntax.unwrap_or_default()
}

/// Variables that name variables that name variables, [`super::scope::MAX_DEPTH`] times.
const STACK: usize = 32 << 20;

/// The channel of salts, which holds nothing: who asks waits.
pub(super) fn channel<T>() -> (std::sync::mpsc::SyncSender<T>, Receiver<T>) {
    sync_channel(0)
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
