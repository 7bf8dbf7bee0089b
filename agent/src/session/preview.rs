//! What there is to say of a preview, in generated types, within the bounds of `session.proto`.

use floe_proto::pb;
use floe_proto::pb::preview_news::News;

use super::wire::{MAX_REASON, cut};
use crate::preview::Answer;
use crate::preview::difference::{Change, Difference, Effort, Units};

/// Of what a build writes at once only the end is passed on: it is there to show that it goes on.
const MAX_LINES: usize = 32;
const MAX_LINE: usize = 512;

/// The most entries of one list.
const MAX_ENTRIES: usize = 4000;

/// The longest name of a unit, file or store path that is passed on, in bytes.
const MAX_NAME: usize = 300;

/// What all lists together may take of one message, in bytes.
const MAX_LISTS: usize = 768 * 1024;

/// What there is to say of the preview `id`.
pub(super) fn news(id: &str, answer: Answer) -> pb::PreviewNews {
    let news = match answer {
        Answer::Wrote(mut lines) => {
            let lines = lines.split_off(lines.len().saturating_sub(MAX_LINES));
            let lines = lines.into_iter().map(|line| cut(line, MAX_LINE)).collect();
            News::Output(pb::PreviewOutput { lines })
        }
        Answer::Ended(Ok(found)) => News::Difference(difference(*found)),
        Answer::Ended(Err(why)) => News::Failed(cut(why.as_str().to_owned(), MAX_REASON)),
    };
    pb::PreviewNews { id: id.to_owned(), news: Some(news) }
}

fn difference(found: Difference) -> pb::Difference {
    let mut room = Room { left: MAX_LISTS, left_out: 0 };
    let Effort { fetched, download, unpacked, built } = found.effort;
    let units = match found.units {
        Ok(units) => room.units(units),
        Err(why) => pb::Units { unknown: cut(why, MAX_REASON), ..pb::Units::default() },
    };
    let reboot = room.names(found.reboot.iter().map(ToString::to_string));
    let file = |(path, change)| pb::FileChange { path, change: wire_of(change).into() };
    let (files, files_unknown) = match found.files {
        Ok(files) => (room.filled(files, |(path, _)| path, file), String::new()),
        Err(why) => (Vec::new(), cut(why, MAX_REASON)),
    };
    let object = |(name, bytes)| pb::StoreObject { name, bytes };
    let added = room.filled(found.added, |(name, _)| name, object);
    let removed = room.filled(found.removed, |(name, _)| name, object);
    pb::Difference {
        running: found.running.into(),
        built: found.built.into(),
        build_ms: u64::try_from(found.build.as_millis()).unwrap_or(u64::MAX),
        effort: Some(pb::Effort {
            fetched_paths: fetched,
            download_bytes: download,
            unpacked_bytes: unpacked,
            built_derivations: built,
        }),
        units: Some(units),
        reboot,
        reboots: found.reboots,
        refused: cut(found.refused.unwrap_or_default(), MAX_REASON),
        files,
        files_unknown,
        added,
        removed,
        left_out: room.left_out,
    }
}

fn wire_of(change: Change) -> pb::Change {
    match change {
        Change::Added => pb::Change::Added,
        Change::Removed => pb::Change::Removed,
        Change::Changed => pb::Change::Changed,
    }
}

/// What is left of a message's room.
struct Room {
    left: usize,
    left_out: u32,
}

impl Room {
    fn units(&mut self, units: Units) -> pb::Units {
        let Units { stop, start, restart, reload, left_alone, other } = units;
        pb::Units {
            stop: self.names(stop),
            start: self.names(start),
            restart: self.names(restart),
            reload: self.names(reload),
            left_alone: self.names(left_alone),
            other: self.names(other),
            unknown: String::new(),
        }
    }

    fn names(&mut self, names: impl IntoIterator<Item = String>) -> Vec<String> {
        self.filled(names, |name| name, |name| cut(name, MAX_NAME))
    }

    /// Of `all` as many as there is room for; the others are counted.
    fn filled<T, U>(
        &mut self,
        all: impl IntoIterator<Item = T>,
        name: impl Fn(&T) -> &String,
        entry: impl Fn(T) -> U,
    ) -> Vec<U> {
        let mut filled = Vec::new();
        for one in all {
            // With the numbers beside it and the framing.
            let cost = name(&one).len().saturating_add(24);
            if filled.len() < MAX_ENTRIES && cost <= self.left {
                self.left -= cost;
                filled.push(entry(one));
            } else {
                self.left_out = self.left_out.saturating_add(1);
            }
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use floe_proto::transport::MAX_MESSAGE_BYTES;
    use prost::Message as _;

    use super::*;

    fn found(names: usize, length: usize) -> Difference {
        let name = |number: usize| format!("{number:0length$}");
        let objects = || (0..names).map(|number| (name(number), u64::MAX)).collect();
        Difference {
            running: "/nix/store/old".parse().unwrap(),
            built: "/nix/store/new".parse().unwrap(),
            build: Duration::from_secs(1),
            effort: Effort::default(),
            units: Ok(Units { restart: (0..names).map(name).collect(), ..Units::default() }),
            reboot: Vec::new(),
            reboots: false,
            refused: None,
            files: Ok((0..names).map(|number| (name(number), Change::Changed)).collect()),
            added: objects(),
            removed: objects(),
        }
    }

    #[test]
    fn whatever_changes_fits_into_a_message_and_what_does_not_is_counted() {
        for (names, length) in [(5000, 8), (3000, 250), (40, 60_000)] {
            let told = news("p-1", Answer::Ended(Ok(Box::new(found(names, length)))));
            assert!(told.encoded_len() < MAX_MESSAGE_BYTES, "{names} {length}");
            let Some(News::Difference(told)) = told.news else { panic!() };
            let units = told.units.unwrap().restart.len();
            let kept = units + told.files.len() + told.added.len() + told.removed.len();
            assert_eq!(kept + told.left_out as usize, 4 * names);
        }
    }

    #[test]
    fn of_what_a_build_writes_the_end_is_passed_on() {
        let lines = (0..100).map(|number| format!("{number} {}", "x".repeat(1000))).collect();
        let told = news("p-1", Answer::Wrote(lines));
        let Some(News::Output(output)) = told.news else { panic!() };
        assert_eq!(output.lines.len(), MAX_LINES);
        assert!(output.lines[31].starts_with("99 ") && output.lines[31].len() == MAX_LINE);
    }
}
