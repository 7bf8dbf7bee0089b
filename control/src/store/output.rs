//! What builds and trials wrote: the beginning and the end of each, bounded.
//!
//! Lines are kept in pieces, as they came together. Of an activation that writes too
//! much the middle goes, since causes stand at the beginning or at the end; readers
//! see a mark in its place. Of each host the newest [`KEPT`] activations have lines.

use std::collections::VecDeque;

use floe_proto::id::{ActivationId, HostId};
use floe_proto::report::Phase;
use floe_proto::time::Timestamp;
use futures_util::stream::{self, Stream};
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::pool::{Error, Store, column, number};
use crate::rollout::state::Heard;

/// How many activations of a host have their lines kept.
pub(super) const KEPT: i64 = 20;

/// What is kept of the beginning: this many lines, and this many bytes.
const HEAD: (i64, i64) = (1_000, 256 * 1024);

/// What is kept of the end.
const TAIL: (i64, i64) = (3_000, 768 * 1024);

/// The most that one piece holds.
const PIECE: usize = 64 * 1024;

/// What is written between two looks at the bounds: lines, bytes.
const SLACK: (i64, i64) = (500, 64 * 1024);

/// How many pieces a reader is given at once.
const READ: i64 = 16;

/// One line that a build or trial wrote, or a mark where lines are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Of which activation.
    pub activation: ActivationId,
    /// When it was heard.
    pub at: Timestamp,
    /// In which phase.
    pub phase: Option<Phase>,
    /// Without its newline.
    pub text: String,
}

/// Writes lines after those that are there, and keeps to the bounds.
pub(super) async fn append(
    transaction: &mut Transaction<'static, Any>,
    heard: &Heard,
    phase: Option<Phase>,
    lines: &[String],
) -> Result<(), Error> {
    let (host, activation) = (heard.host.as_str(), heard.activation.as_str());
    let last = sqlx::query(
        "SELECT first + lines AS next, upto FROM activation_output \
         WHERE host = $1 AND activation = $2 ORDER BY first DESC LIMIT 1",
    )
    .bind(host)
    .bind(activation)
    .fetch_optional(&mut **transaction)
    .await?;
    let before = match last {
        Some(row) => (column(&row, "next")?, column(&row, "upto")?),
        None => (1, 0),
    };
    let (mut next, mut upto) = before;
    for (count, text) in pieces(lines) {
        upto += i64::try_from(text.len()).unwrap_or(0);
        sqlx::query(
            "INSERT INTO activation_output (host, activation, first, lines, upto, at, phase, \
             text) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(host)
        .bind(activation)
        .bind(next)
        .bind(count)
        .bind(upto)
        .bind(heard.at.as_micros())
        .bind(phase.map_or("", Phase::as_str))
        .bind(text)
        .execute(&mut **transaction)
        .await?;
        next += count;
    }
    let crossed = next / SLACK.0 != before.0 / SLACK.0 || upto / SLACK.1 != before.1 / SLACK.1;
    if crossed && (next > HEAD.0 + TAIL.0 || upto > HEAD.1 + TAIL.1) {
        sqlx::query(
            "DELETE FROM activation_output WHERE host = $1 AND activation = $2 \
             AND (first > $3 OR upto > $4) AND (first + lines <= $5 OR upto <= $6)",
        )
        .bind(host)
        .bind(activation)
        .bind(HEAD.0)
        .bind(HEAD.1)
        .bind(next - TAIL.0)
        .bind(upto - TAIL.1)
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

/// Lines put together, each followed by a newline; with how many there are.
fn pieces(lines: &[String]) -> Vec<(i64, String)> {
    let mut pieces: Vec<(i64, String)> = Vec::new();
    for line in lines {
        match pieces.last_mut() {
            Some((count, text)) if text.len() + line.len() < PIECE => {
                *count += 1;
                text.push_str(line);
                text.push('\n');
            }
            Some(_) | None => pieces.push((1, format!("{line}\n"))),
        }
    }
    pieces
}

impl Store {
    /// What an activation wrote, or the host's newest one where none is named. With
    /// `news`, which says when something was stored, it goes on until the activation
    /// has ended; a host that has none is waited for.
    pub fn output(
        &self,
        host: HostId,
        activation: Option<ActivationId>,
        news: Option<watch::Receiver<u64>>,
    ) -> impl Stream<Item = Result<Line, Error>> + Send + 'static {
        let place = Place { store: self.clone(), host, activation, next: 1 };
        let (queries, lines) = (JoinSet::new(), VecDeque::new());
        let reader = Reader { place, queries, news, lines, over: false };
        stream::unfold(reader, |mut reader| async move {
            let line = reader.line().await.transpose()?;
            reader.over |= line.is_err();
            Some((line, reader))
        })
    }
}

struct Reader {
    place: Place,
    /// What asks the database, which has one connection: it must not be held by a
    /// stream that nobody polls because its reader takes nothing more.
    queries: JoinSet<Result<Found, Error>>,
    news: Option<watch::Receiver<u64>>,
    lines: VecDeque<Line>,
    over: bool,
}

/// What is read next.
#[derive(Clone)]
struct Place {
    store: Store,
    host: HostId,
    activation: Option<ActivationId>,
    /// The number of the line.
    next: i64,
}

struct Found {
    lines: VecDeque<Line>,
    place: Place,
    /// Whether the activation had ended before the lines were read.
    ended: bool,
}

impl Reader {
    /// The next line; `None` at the end.
    async fn line(&mut self) -> Result<Option<Line>, Error> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(Some(line));
            }
            if self.over {
                return Ok(None);
            }
            // Looked at before the lines are: what was stored with the outcome or
            // before it is then read, whatever is stored meanwhile.
            if let Some(news) = &mut self.news {
                news.borrow_and_update();
            }
            self.queries.spawn(self.place.clone().read());
            // Not to be had only where the program ends.
            let Some(Ok(found)) = self.queries.join_next().await else { return Ok(None) };
            let Found { lines, place, ended } = found?;
            (self.lines, self.place) = (lines, place);
            if !self.lines.is_empty() {
                continue;
            }
            let more = match &mut self.news {
                Some(news) if !ended => news.changed().await.is_ok(),
                Some(_) | None => false,
            };
            self.over = !more;
        }
    }
}

impl Place {
    /// Finds out which activation it is and whether it has ended, then reads the next
    /// pieces of it.
    async fn read(mut self) -> Result<Found, Error> {
        let found = match &self.activation {
            Some(id) => self.store.activation(&self.host, id).await?,
            None => self.store.activations(&self.host, 1).await?.pop(),
        };
        let ended = found.as_ref().is_some_and(|activation| activation.ended.is_some());
        self.activation = self.activation.take().or_else(|| found.map(|found| found.id));
        let mut lines = VecDeque::new();
        let Some(activation) = self.activation.clone() else {
            return Ok(Found { lines, place: self, ended });
        };
        let rows = sqlx::query(
            "SELECT * FROM activation_output WHERE host = $1 AND activation = $2 \
             AND first >= $3 ORDER BY first LIMIT $4",
        )
        .bind(self.host.as_str())
        .bind(activation.as_str())
        .bind(self.next)
        .bind(READ)
        .fetch_all(self.store.pool())
        .await?;
        for row in &rows {
            let (first, count): (i64, i64) = (column(row, "first")?, number(row, "lines")?);
            let (at, phase) = (Timestamp::from_micros(column(row, "at")?), phase(row)?);
            let line = |text| Line { activation: activation.clone(), at, phase, text };
            if first > self.next {
                let missing = first - self.next;
                lines.push_back(line(format!("… {missing} lines are not kept …")));
            }
            let text: String = column(row, "text")?;
            lines.extend(text.lines().map(|text| line(text.to_owned())));
            self.next = first + count;
        }
        Ok(Found { lines, place: self, ended })
    }
}

/// The phase in a row; `None` where none was said.
pub(super) fn phase(row: &AnyRow) -> Result<Option<Phase>, Error> {
    let text: String = column(row, "phase")?;
    Ok(Phase::ALL.into_iter().find(|phase| phase.as_str() == text))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use floe_proto::report::Outcome;
    use futures_util::StreamExt as _;

    use super::*;
    use crate::rollout::ports::{Changes, Records};
    use crate::rollout::state::{Report, Said};
    use crate::store::pool::tests::store;

    fn heard(said: Said) -> Arc<Heard> {
        Arc::new(Heard {
            host: "local-a".parse().unwrap(),
            role: "www".parse().unwrap(),
            activation: "x-1".parse().unwrap(),
            at: Timestamp::from_micros(1),
            said,
        })
    }

    fn wrote(lines: Vec<String>) -> Arc<Heard> {
        heard(Said::Wrote { phase: Some(Phase::Building), lines })
    }

    fn ended() -> Arc<Heard> {
        heard(Said::Ended(Report {
            about: None,
            manifest: None,
            outcome: Outcome::Failed,
            reason: String::new(),
            running: String::new(),
            unchanged: false,
            build_ms: 0,
        }))
    }

    async fn hear(store: &Store, heard: Vec<Arc<Heard>>) {
        store.save(&Changes { rollouts: vec![], heard }).await.unwrap();
    }

    async fn texts(store: &Store) -> Vec<String> {
        let lines = store.output("local-a".parse().unwrap(), None, None);
        lines.map(|line| line.unwrap().text).collect().await
    }

    #[tokio::test]
    async fn lines_come_back_as_they_were_written() {
        let (store, _dir) = store().await;
        assert!(texts(&store).await.is_empty());
        hear(&store, vec![wrote(vec!["one".into(), String::new()]), wrote(vec!["three".into()])])
            .await;
        assert_eq!(texts(&store).await, ["one", "", "three"]);
    }

    #[tokio::test]
    async fn of_too_many_lines_the_beginning_and_the_end_are_kept() {
        let (store, _dir) = store().await;
        for first in (0..20_000).step_by(200) {
            hear(&store, vec![wrote((first..first + 200).map(|n| n.to_string()).collect())]).await;
        }
        let lines = texts(&store).await;
        assert!((4_000..4_800).contains(&lines.len()), "{}", lines.len());
        assert_eq!((lines[0].as_str(), lines[999].as_str()), ("0", "999"));
        assert!(lines[1000].contains("lines are not kept"), "{}", lines[1000]);
        assert_eq!(lines.last().unwrap(), "19999");
    }

    #[tokio::test]
    async fn of_too_many_bytes_a_bounded_part_is_kept() {
        let (store, _dir) = store().await;
        for _ in 0..40 {
            hear(&store, vec![wrote(vec!["x".repeat(4096); 100])]).await;
        }
        let bytes: usize = texts(&store).await.iter().map(String::len).sum();
        assert!(bytes <= 1_200_000, "{bytes}");
    }

    #[tokio::test]
    async fn who_follows_sees_every_line_until_the_end() {
        let (store, _dir) = store().await;
        let (sender, news) = watch::channel(0);
        let mut lines = Box::pin(store.output("local-a".parse().unwrap(), None, Some(news)));
        let tell = || sender.send_modify(|count| *count += 1);
        let writing = async {
            for text in ["one", "two"] {
                hear(&store, vec![wrote(vec![text.into()])]).await;
                tell();
            }
            hear(&store, vec![wrote(vec!["three".into()]), ended()]).await;
            tell();
        };
        let reading = async {
            let mut seen = Vec::new();
            while let Some(line) = lines.next().await {
                seen.push(line.unwrap().text);
            }
            seen
        };
        let ((), seen) = tokio::join!(writing, reading);
        assert_eq!(seen, ["one", "two", "three"]);
    }

    #[tokio::test]
    async fn a_reader_that_stops_reading_does_not_keep_the_database() {
        let (store, _dir) = store().await;
        hear(&store, vec![wrote(vec!["one".into()])]).await;
        let mut lines = Box::pin(store.output("local-a".parse().unwrap(), None, None));
        // It asks, and is never polled again; as often as it takes to be amid a query.
        assert!(futures_util::poll!(lines.next()).is_pending());
        for _ in 0..3 {
            tokio::task::yield_now().await;
            let hosts = tokio::time::timeout(std::time::Duration::from_secs(5), store.hosts(None));
            assert!(hosts.await.unwrap().unwrap().is_empty());
        }
        assert_eq!(lines.next().await.unwrap().unwrap().text, "one");
    }
}
