//! Whether a task runs on every host whenever its play does. What runs at times, or elsewhere,
//! is never taken over as if it always did.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior, Value};

use crate::import::report::{Outcome, shown};
use crate::import::yaml::Node;

/// Why a task does not run always; of no reason it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs(Vec<String>);

impl Runs {
    pub(super) fn always(&self) -> bool {
        self.0.is_empty()
    }

    /// For one reason more, such as `when x`.
    pub(super) fn but(&mut self, reason: impl Into<String>) {
        self.0.push(reason.into());
    }

    /// For what a play says besides; how it connects says nothing of where its tasks run.
    pub(super) fn with_play(&self, play: &Node) -> Self {
        let mut runs = self.clone();
        runs.0.extend(play.get("tags").and_then(|tags| reason("tags", tags)));
        runs
    }

    /// For what the keywords of `node`, a task, a block or a role, say besides.
    pub(super) fn with(&self, node: &Node) -> Self {
        let mut runs = self.clone();
        for (key, node) in node.map() {
            runs.0.extend(reason(&key.name, node));
        }
        runs
    }

    /// What becomes of a file that is brought there: nothing, and why.
    pub(super) fn not_taken(&self) -> Outcome {
        Outcome::NotSupported(format!(
            "it runs only {}, so nothing was taken over of it: write it by hand, or make a role of \
             the hosts that differ",
            self.reasons()
        ))
    }

    /// `outcome`, and when the task ran.
    pub(super) fn said_with(&self, outcome: Outcome) -> Outcome {
        if self.always() {
            return outcome;
        }
        let with = |text: String| format!("{text}; it ran only {}", self.reasons());
        match outcome {
            Outcome::Taken(text) => Outcome::Look(with(text)),
            Outcome::Written(_, text) | Outcome::Look(text) => Outcome::Look(with(text)),
            Outcome::Replaced(text) => Outcome::Replaced(with(text)),
            Outcome::NotNeeded(text) => Outcome::NotNeeded(with(text)),
            Outcome::NotSupported(text) => Outcome::NotSupported(with(text)),
        }
    }

    fn reasons(&self) -> String {
        self.0.join(", ")
    }
}

/// What becomes of a keyword that says when or where a task runs; `None` where it is no such
/// keyword, or says nothing of the kind.
pub(super) fn of_keyword(key: &str, node: &Node) -> Option<Outcome> {
    if key == "when" && node.words().iter().all(|condition| holds(condition) == Some(true)) {
        return Some(Outcome::NotNeeded("it holds on every host: they run NixOS".into()));
    }
    reason(key, node).map(|reason| {
        Outcome::NotSupported(format!(
            "it runs only {reason}: no file was taken over of it; say it in configuration.nix, or \
             make a role of the hosts that differ"
        ))
    })
}

fn reason(key: &str, node: &Node) -> Option<String> {
    match key {
        "when" => {
            let open = |condition: &&str| holds(condition) != Some(true);
            let left: Vec<&str> = node.words().into_iter().filter(open).collect();
            let never = left.iter().any(|condition| holds(condition) == Some(false));
            match (never, left.is_empty() && !node.words().is_empty()) {
                (_, true) => None,
                (true, false) => {
                    Some(format!("when `{}`, which no host is", shown(&left.join("` and `"))))
                }
                (false, false) => Some(format!("when `{}`", shown(&left.join("` and `")))),
            }
        }
        "tags" => {
            let mut tags = node.words().into_iter().flat_map(|words| words.split(','));
            let is_never = tags.any(|tag| tag.trim() == "never");
            is_never.then(|| "where somebody asks for it with --tags (`never`)".to_owned())
        }
        "delegate_to" => {
            let host = node.text().unwrap_or_default();
            let is_own = host.replace(' ', "") == "{{inventory_hostname}}";
            (!is_own).then(|| format!("on `{}`, not on the hosts", shown(host)))
        }
        "connection" if node.text() == Some("local") => {
            Some("where Ansible runs, not on the hosts".to_owned())
        }
        "local_action" => Some("where Ansible runs, not on the hosts".to_owned()),
        "run_once" if holds(node.text().unwrap_or_default()) != Some(false) => {
            Some("on one of the hosts (`run_once`)".to_owned())
        }
        _ => None,
    }
}

/// Whether `condition` holds on hosts that run NixOS; `None` where that cannot be known.
fn holds(condition: &str) -> Option<bool> {
    match condition.trim().to_lowercase().as_str() {
        "true" | "yes" | "on" => return Some(true),
        "false" | "no" | "off" => return Some(false),
        _ => {}
    }
    if condition.len() > LONGEST {
        return None;
    }
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let expression = environment.compile_expression(condition).ok()?;
    let names = expression.undeclared_variables(false);
    let is_fact = |name: &String| {
        name == "ansible_facts" || FACTS.iter().any(|(fact, _)| *name == format!("ansible_{fact}"))
    };
    if names.is_empty() || !names.iter().all(is_fact) {
        return None;
    }
    let facts = FACTS.iter().map(|(name, value)| (*name, Value::from(*value)));
    let alone = FACTS.iter().map(|(name, value)| (format!("ansible_{name}"), Value::from(*value)));
    let mut known: BTreeMap<String, Value> = alone.collect();
    let facts = Value::from(facts.collect::<BTreeMap<_, _>>());
    known.insert("ansible_facts".to_owned(), facts);
    expression.eval(Value::from(known)).ok().map(|value| value.is_true())
}

/// What Ansible finds out on every machine with NixOS.
const FACTS: [(&str, &str); 4] = [
    ("os_family", "NixOS"),
    ("distribution", "NixOS"),
    ("system", "Linux"),
    ("service_mgr", "systemd"),
];

/// Longer than people write conditions on facts.
const LONGEST: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::yaml;

    fn reasons(text: &str) -> String {
        Runs::default().with(&yaml::document("x", text).unwrap()).reasons()
    }

    #[test]
    fn what_does_not_run_always_says_why() {
        let cases = [
            ("when: x", "when `x`"),
            ("when: [a, b is defined]", "when `a` and `b is defined`"),
            ("when: ansible_os_family == 'NixOS'", ""),
            ("when: ansible_facts['distribution'] == 'NixOS'", ""),
            (
                "when: ansible_os_family == 'Debian'",
                "when `ansible_os_family == 'Debian'`, which no host is",
            ),
            ("when: [ansible_os_family == 'NixOS', x]", "when `x`"),
            ("when: true", ""),
            ("when:", "when ``"),
            ("tags: [a, b]", ""),
            ("tags: a, never", "where somebody asks for it with --tags (`never`)"),
            ("tags: [never]", "where somebody asks for it with --tags (`never`)"),
            ("delegate_to: localhost", "on `localhost`, not on the hosts"),
            ("delegate_to: '{{ inventory_hostname }}'", ""),
            ("run_once: true", "on one of the hosts (`run_once`)"),
            ("run_once: false", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(reasons(text), expected, "{text}");
        }
    }

    #[test]
    fn a_condition_that_is_a_program_is_not_run() {
        assert_eq!(holds("range(99999999) | list"), None);
        assert_eq!(holds("ansible_os_family * 99999999999"), None);
        assert_eq!(holds("(((("), None);
    }
}
