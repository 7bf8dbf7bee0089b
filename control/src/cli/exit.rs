//! How a command ends: an error becomes a sentence, an advice and a code.
//!
//! 0 done, 1 failed, 2 usage (clap's own), 3 refused by policy or trust. The list of
//! errors below is the list of refusals that an operator can meet.

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use floe_proto::payload::pack;

use super::connection;
use super::dev;
use super::end::Stopped;
use super::output::Unprinted;
use crate::bundle::{
    cache_key, check, closure, history, inputs, listed, pins, publish, rendered, sign, source,
    state, syntax,
};
use crate::import;
use crate::secrets::{age_file, editor, recipients, seal, values};
use crate::trust::proposal;
use crate::vault::{self, variables};
use crate::{repository, serve, signing, template};

/// Prints the error and its advice on stderr.
pub fn explain(error: &anyhow::Error) -> ExitCode {
    if error.downcast_ref::<Unprinted>().is_some_and(Unprinted::is_closed_pipe) {
        return ExitCode::SUCCESS; // `floe hosts | head` has what it wanted
    }
    let Verdict { advice, refused } = judge(error);
    let mut text = format!("floe: {}\n", sentence(error.as_ref()));
    if let Some(advice) = advice {
        text += &format!("  try: {advice}\n");
    }
    let _ = io::stderr().lock().write_all(text.as_bytes());
    if refused { ExitCode::from(3) } else { ExitCode::FAILURE }
}

struct Verdict {
    advice: Option<String>,
    refused: bool,
}

/// What the first error of the chain that knows has to say.
fn judge(error: &anyhow::Error) -> Verdict {
    let known = error.chain().find_map(|error| {
        let advice = |advice: String, refused| Some(Verdict { advice: Some(advice), refused });
        if let Some(error) = error.downcast_ref::<connection::Error>() {
            return advice(error.advice(), error.is_refusal());
        }
        if let Some(error) = error.downcast_ref::<sign::Error>() {
            return advice(error.advice(), error.is_refusal());
        }
        if let Some(error) = error.downcast_ref::<signing::Error>() {
            return advice(error.advice(), error.is_refusal());
        }
        if let Some(error) = error.downcast_ref::<check::Error>() {
            return advice(error.advice(), error.is_refusal());
        }
        if let Some(error) = error.downcast_ref::<history::Error>() {
            return advice(error.advice(), error.is_refusal());
        }
        if let Some(error) = error.downcast_ref::<state::Error>() {
            return advice(error.advice().into(), false);
        }
        if let Some(error) = error.downcast_ref::<rendered::Error>() {
            return advice(error.advice(), error.is_refusal());
        }
        if let Some(error) = error.downcast_ref::<source::Error>() {
            return advice(error.advice(), false);
        }
        if let Some(error) = error.downcast_ref::<repository::Error>() {
            return advice(error.advice(), false);
        }
        if let Some(error) = error.downcast_ref::<seal::Error>() {
            return advice(error.advice(), error.is_refusal());
        }
        if let Some(error) = error.downcast_ref::<recipients::Error>() {
            return advice(error.advice().into(), false);
        }
        if let Some(error) = error.downcast_ref::<values::Error>() {
            return advice(error.advice().into(), false);
        }
        if let Some(error) = error.downcast_ref::<age_file::Error>() {
            return advice(error.advice().into(), false);
        }
        if let Some(error) = error.downcast_ref::<editor::Error>() {
            return advice(error.advice().into(), false);
        }
        if let Some(error) = error.downcast_ref::<proposal::Error>() {
            return advice(error.advice().into(), false);
        }
        if let Some(error) = error.downcast_ref::<import::Error>() {
            return advice(error.advice().into(), false);
        }
        if let Some(error) = error.downcast_ref::<pack::Error>() {
            return advice(error.advice().into(), false);
        }
        if let Some(error) = error.downcast_ref::<syntax::Error>() {
            return advice(error.advice().into(), false);
        }
        if let Some(error) = error.downcast_ref::<inputs::Error>() {
            return advice(error.advice().into(), false);
        }
        if let Some(error) = error.downcast_ref::<closure::Error>() {
            return advice(error.advice().into(), false);
        }
        if let Some(error) = error.downcast_ref::<cache_key::Error>() {
            return advice(error.advice().into(), false);
        }
        if let Some(error) = error.downcast_ref::<pins::Error>() {
            return advice(error.advice().into(), false);
        }
        if let Some(error) = error.downcast_ref::<listed::Error>() {
            return advice(error.advice().into(), false);
        }
        if let Some(error) = error.downcast_ref::<publish::Error>() {
            return advice(error.advice().into(), false);
        }
        if let Some(error) = error.downcast_ref::<serve::Error>() {
            return advice(error.advice().into(), false);
        }
        if let Some(error) = error.downcast_ref::<template::Error>() {
            return advice(error.advice(), false);
        }
        if let Some(error) = error.downcast_ref::<variables::Error>() {
            return advice(error.advice(), false);
        }
        if let Some(error) = error.downcast_ref::<vault::Error>() {
            return advice(error.advice().into(), false);
        }
        if let Some(error) = error.downcast_ref::<dev::Error>() {
            return advice(error.advice(), false);
        }
        error.downcast_ref::<Stopped>().map(|error| Verdict {
            advice: Some(error.advice().to_owned()),
            refused: error.is_refusal(),
        })
    });
    known.unwrap_or(Verdict { advice: None, refused: false })
}

/// The errors of the chain, each once, without what says nothing.
fn sentence(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let said = error.to_string();
        let said = said.split(" (os error").next().unwrap_or_default().trim();
        let noise = ["transport error", "client error (Connect)", "error sending request"];
        if !said.is_empty() && !noise.contains(&said) && !text.contains(said) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(said);
        }
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_says_each_thing_once() {
        let inner = anyhow::anyhow!("Connection refused (os error 111)")
            .context("transport error")
            .context("the control plane at `https://x` cannot be reached");
        assert_eq!(
            sentence(inner.as_ref()),
            "the control plane at `https://x` cannot be reached: Connection refused"
        );
    }

    #[test]
    fn a_refusal_is_found_below_its_context() {
        let error = anyhow::Error::from(Stopped::refused("no", "ask")).context("push");
        let verdict = judge(&error);
        assert!(verdict.refused);
        assert_eq!(verdict.advice.as_deref(), Some("ask"));
    }
}
