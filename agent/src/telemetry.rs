//! Where log records go: to the journal with fields of their own, else to stderr.
//!
//! Call sites name what varies in key-values (`info!(serial:% = serial; "…")`) under
//! the short names of [`FIELDS`]; in the journal these become `FLOE_SERIAL=` and so
//! on, which `journalctl FLOE_SERIAL=42` finds. Reads nothing of the environment.

use log::kv::{Key, Source, Value, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};
use systemd_journal_logger::{JournalLog, connected_to_journal};

/// Key of a key-value, and the journal field that it becomes. Others keep their name.
const FIELDS: [(&str, &str); 9] = [
    ("activation", "FLOE_ACTIVATION"),
    ("epoch", "FLOE_EPOCH"),
    ("host", "FLOE_HOST"),
    ("outcome", "FLOE_OUTCOME"),
    ("phase", "FLOE_PHASE"),
    ("role", "FLOE_ROLE"),
    ("rollout", "FLOE_ROLLOUT"),
    ("serial", "FLOE_SERIAL"),
    ("unit", "FLOE_UNIT"),
];

/// Sends everything up to `level` to where it belongs. Call once, first.
pub fn init(level: LevelFilter) {
    let to_journal = connected_to_journal()
        && JournalLog::new().is_ok_and(|log| log::set_boxed_logger(Box::new(Fielded(log))).is_ok());
    if to_journal {
        log::set_max_level(level);
    } else {
        // It fails only where a logger is set already, and then that one serves.
        let _ = env_logger::Builder::new().filter_level(level).format_target(false).try_init();
    }
}

/// An error and its causes on one line.
pub struct Chain<'a>(pub &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let causes = std::iter::successors(Some(self.0), |error| error.source());
        let mut last = String::new();
        for (depth, cause) in causes.enumerate() {
            let text = cause.to_string();
            // Some libraries repeat the cause in their own text.
            if !last.contains(&text) {
                write!(f, "{}{text}", if depth == 0 { "" } else { ": " })?;
            }
            last = text;
        }
        Ok(())
    }
}

/// A journal whose fields have floe's names.
struct Fielded(JournalLog);

impl Log for Fielded {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        // What libraries say below `info` concerns their authors.
        let ours = record.target().starts_with("floe_");
        if !ours && record.level() > log::Level::Info {
            return;
        }
        let fields = Renamed(record.key_values());
        self.0.log(&record.to_builder().key_values(&fields).build());
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// Key-values under the names of [`FIELDS`].
struct Renamed<'a>(&'a dyn Source);

impl Source for Renamed<'_> {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), log::kv::Error> {
        self.0.visit(&mut Renaming(visitor))
    }
}

struct Renaming<'a, 'kvs>(&'a mut dyn VisitSource<'kvs>);

impl<'kvs> VisitSource<'kvs> for Renaming<'_, 'kvs> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
        let known = FIELDS.iter().find(|(short, _)| *short == key.as_str());
        self.0.visit_pair(known.map_or(key, |(_, field)| Key::from_str(field)), value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen(Vec<(String, String)>);

    impl<'kvs> VisitSource<'kvs> for Seen {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
            self.0.push((key.as_str().to_owned(), value.to_string()));
            Ok(())
        }
    }

    #[test]
    fn key_values_become_fields_that_an_operator_can_ask_for() {
        let pairs: &[(&str, i32)] = &[("serial", 42), ("attempt", 3)];
        let mut seen = Seen::default();
        Renamed(&pairs).visit(&mut seen).unwrap();
        let expected = [("FLOE_SERIAL", "42"), ("attempt", "3")];
        assert_eq!(seen.0, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
}
