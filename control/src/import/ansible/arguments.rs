//! The arguments of a module, in each of the ways that Ansible lets people write them.

use crate::import::line;
use crate::import::yaml::{Data, Node};

/// The arguments of one task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    /// What is no `key=value`: the command of `shell`.
    pub(super) free: Option<String>,
    /// Each with its line.
    pub(super) named: Vec<(String, usize, String)>,
}

impl Arguments {
    /// Of `module`'s value, and of `args:` beside it.
    pub(super) fn of(module: &str, node: &Node, more: Option<&Node>) -> Self {
        let mut arguments = Self::default();
        match &node.data {
            Data::Scalar(text) if takes_a_command(module) => {
                arguments.free = Some(text.clone());
            }
            Data::Scalar(text) => {
                for word in line::words(text) {
                    match word.split_once('=') {
                        Some((key, value)) => {
                            arguments.named.push((key.to_owned(), node.line, value.to_owned()));
                        }
                        None => arguments.free = Some(word),
                    }
                }
            }
            Data::List(list) => {
                let words: Vec<&str> = list.iter().filter_map(Node::text).collect();
                arguments.free = Some(words.join(" "));
            }
            Data::Map(_) => arguments.add(node),
        }
        more.into_iter().for_each(|node| arguments.add(node));
        for key in ["cmd", "argv", "_raw_params"] {
            if arguments.free.is_none() && takes_a_command(module) {
                arguments.free = arguments.take(key);
            }
        }
        arguments
    }

    fn add(&mut self, node: &Node) {
        for (key, node) in node.map() {
            let text = match &node.data {
                Data::Scalar(text) => text.clone(),
                Data::List(_) => node.words().join(" "),
                Data::Map(_) => String::new(),
            };
            self.named.push((key.name.clone(), key.line, text));
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.named.iter().find(|(known, ..)| known == key).map(|(.., value)| value.as_str())
    }

    fn take(&mut self, key: &str) -> Option<String> {
        let at = self.named.iter().position(|(known, ..)| known == key)?;
        Some(self.named.remove(at).2)
    }
}

/// Modules whose one argument is a command line.
pub(super) fn takes_a_command(module: &str) -> bool {
    matches!(module, "shell" | "command" | "raw" | "script" | "win_shell" | "win_command")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::yaml;

    fn of(module: &str, text: &str) -> Arguments {
        Arguments::of(module, &yaml::document("x", text).unwrap(), None)
    }

    #[test]
    fn arguments_are_written_in_many_ways() {
        let line = of("copy", "src='a b' dest={{ dir }}/c");
        assert_eq!((line.get("src"), line.get("dest")), (Some("a b"), Some("{{ dir }}/c")));
        assert_eq!(of("copy", "src: x\ndest: y").get("dest"), Some("y"));
        assert_eq!(of("shell", "a=b make").free.as_deref(), Some("a=b make"));
        assert_eq!(of("command", "cmd: make\nchdir: /").free.as_deref(), Some("make"));
        assert_eq!(of("command", "argv: [make, all]").free.as_deref(), Some("make all"));
    }
}
