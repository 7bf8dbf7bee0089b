//! What waits to be sent, bounded; reports stay until they are acknowledged.
//!
//! Progress and output are best effort while nobody listens: the oldest goes first,
//! and the number of lost lines is said. A report is never lost to a bound: there is one for
//! each activation, and an activation waits for its acknowledgement.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use floe_proto::id::ActivationId;
use floe_proto::pb;
use floe_proto::pb::from_agent::Message;
use tokio::sync::Notify;

use super::wire::{self, MAX_LINE, cut};
use crate::activation::ports::{News, Progress};
use crate::activation::state::Report;

/// How many changes of phase wait at most: several activations' worth.
const MAX_PROGRESS: usize = 64;

/// How much output waits at most, by [`cost`].
const MAX_OUTPUT_COST: usize = 256 * 1024;

/// How much output goes into one message, by [`cost`].
const MAX_CHUNK_COST: usize = 16 * 1024;

/// How many lines go into one message; `session.proto` allows 256, and one may say
/// that others were left out.
const MAX_LINES: usize = 255;

/// How many messages of a preview wait at most.
const MAX_PREVIEWS: usize = 32;

/// What waits to be sent.
#[derive(Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    /// Something may have become ready to be sent.
    filled: Notify,
    /// A report was acknowledged.
    acknowledged: Notify,
}

#[derive(Default)]
struct State {
    news: VecDeque<Progress>,
    /// The phase that was entered last, until its activation's report has arrived.
    latest: Option<Progress>,
    output_cost: usize,
    lost_lines: usize,
    reports: Vec<Waiting>,
    /// What became of the newest secrets; a new stream says it again by its hello.
    placed: Option<pb::SecretsPlaced>,
    /// What there is to say of the newest preview, on this stream only.
    previews: VecDeque<pb::PreviewNews>,
    closing: bool,
}

struct Waiting {
    report: Report,
    sent_on_this_stream: bool,
}

impl Outbox {
    pub(super) fn tell(&self, progress: Progress) {
        let mut state = self.lock();
        match &progress.news {
            News::Entered(_) => state.enter(progress),
            News::Wrote(_) => state.write(progress),
        }
        self.filled.notify_one();
    }

    /// Says what became of secrets that came; only the newest word counts.
    pub(super) fn placed(&self, placed: pb::SecretsPlaced) {
        self.lock().placed = Some(wire::placed(placed));
        self.filled.notify_one();
    }

    /// Says something of a preview. Of what its build writes the oldest goes first; who asked
    /// on an older stream hears nothing any more.
    pub(super) fn preview(&self, news: pb::PreviewNews) {
        let mut state = self.lock();
        state.previews.retain(|older| older.id == news.id);
        if state.previews.len() == MAX_PREVIEWS {
            state.previews.pop_front();
        }
        state.previews.push_back(news);
        drop(state);
        self.filled.notify_one();
    }

    /// Hands in `report` and returns once it was acknowledged. What is dropped
    /// before that stays handed in; the same activation replaces its own report.
    pub(super) async fn deliver(&self, report: Report) {
        let activation = report.activation.clone();
        {
            let mut state = self.lock();
            state.reports.retain(|waiting| waiting.report.activation != activation);
            state.reports.push(Waiting { report, sent_on_this_stream: false });
        }
        self.filled.notify_one();
        loop {
            // Registered before it is looked, so that no acknowledgement is missed.
            let acknowledged = self.acknowledged.notified();
            let mut acknowledged = std::pin::pin!(acknowledged);
            acknowledged.as_mut().enable();
            if !self.is_waiting(&activation) {
                return;
            }
            acknowledged.await;
        }
    }

    /// The control plane has the report of `activation`.
    pub(super) fn acknowledge(&self, activation: &str) {
        let mut state = self.lock();
        state.reports.retain(|waiting| waiting.report.activation.as_str() != activation);
        state.latest = state.latest.take().filter(|last| last.activation.as_str() != activation);
        drop(state);
        self.acknowledged.notify_waiters();
    }

    /// A new stream: what was not acknowledged is to be sent again, and where the
    /// activation stands, which may have been lost with the old one.
    pub(super) fn rewind(&self) {
        let mut state = self.lock();
        for waiting in &mut state.reports {
            waiting.sent_on_this_stream = false;
        }
        state.previews.clear();
        let queued = state.news.iter().any(is_entry);
        if let Some(latest) = state.latest.clone().filter(|_| !queued) {
            state.news.push_front(latest);
        }
        self.filled.notify_one();
    }

    /// Nothing more will be told: what waits is sent, then the stream is to end.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.filled.notify_one();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// The next message, once there is one; `None` where there will be none. For one
    /// caller at a time; what was taken is lost only with who polled this to its end.
    pub(super) async fn next(&self) -> Option<Message> {
        loop {
            if let Some(message) = self.take() {
                return Some(message);
            }
            if self.is_closing() {
                return None;
            }
            self.filled.notified().await;
        }
    }

    fn take(&self) -> Option<Message> {
        let mut state = self.lock();
        if let Some(next) = state.news.pop_front() {
            return Some(wire::progress(state.without_gap(next)));
        }
        if let Some(placed) = state.placed.take() {
            return Some(Message::SecretsPlaced(placed));
        }
        if let Some(news) = state.previews.pop_front() {
            return Some(Message::Preview(news));
        }
        let waiting = state.reports.iter_mut().find(|waiting| !waiting.sent_on_this_stream)?;
        waiting.sent_on_this_stream = true;
        Some(wire::report(waiting.report.clone()))
    }

    fn is_waiting(&self, activation: &ActivationId) -> bool {
        self.lock().reports.iter().any(|waiting| waiting.report.activation == *activation)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, entry: Progress) {
        if self.news.iter().filter(|news| is_entry(news)).count() >= MAX_PROGRESS
            && let Some(oldest) = self.news.iter().position(is_entry)
        {
            self.news.remove(oldest);
        }
        self.latest = Some(entry.clone());
        self.news.push_back(entry);
    }

    fn write(&mut self, mut output: Progress) {
        let News::Wrote(lines) = std::mem::replace(&mut output.news, News::Wrote(Vec::new()))
        else {
            return;
        };
        let mut lines = lines.into_iter().map(|line| cut(line, MAX_LINE)).peekable();
        while lines.peek().is_some() {
            let (mut chunk, mut chunk_cost) = (Vec::new(), 0);
            while chunk.len() < MAX_LINES
                && chunk_cost < MAX_CHUNK_COST
                && let Some(line) = lines.next()
            {
                chunk_cost += cost(&line);
                chunk.push(line);
            }
            self.output_cost += chunk_cost;
            self.news.push_back(Progress { news: News::Wrote(chunk), ..output.clone() });
            self.shed_output();
        }
    }

    /// What was written last is worth most: it is what a build failed with.
    fn shed_output(&mut self) {
        while self.output_cost > MAX_OUTPUT_COST
            && let Some(oldest) = self.news.iter().position(|news| !is_entry(news))
            && let Some(Progress { news: News::Wrote(lines), .. }) = self.news.remove(oldest)
        {
            self.output_cost = self.output_cost.saturating_sub(cost_of(&lines));
            self.lost_lines += lines.len();
        }
    }

    /// Accounts for what is about to be sent, and says there what is missing before it.
    fn without_gap(&mut self, mut next: Progress) -> Progress {
        if let News::Wrote(lines) = &mut next.news {
            self.output_cost = self.output_cost.saturating_sub(cost_of(lines));
            if self.lost_lines > 0 {
                let lost = std::mem::take(&mut self.lost_lines);
                lines.insert(0, format!("[floe: {lost} lines were left out here]"));
            }
        }
        next
    }
}

fn is_entry(progress: &Progress) -> bool {
    match progress.news {
        News::Entered(_) => true,
        News::Wrote(_) => false,
    }
}

/// What lines take of memory, roughly: short lines are not free.
fn cost_of(lines: &[String]) -> usize {
    lines.iter().map(|line| cost(line)).sum()
}

fn cost(line: &str) -> usize {
    line.len() + 64
}

#[cfg(test)]
mod tests {
    use super::super::tests::{entered, report, wrote};
    use super::*;

    fn output(lines: usize, length: usize) -> Progress {
        wrote(vec!["x".repeat(length); lines])
    }

    fn drained(outbox: &Outbox) -> Vec<Message> {
        std::iter::from_fn(|| outbox.take()).collect()
    }

    /// Polls once.
    async fn waits(future: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = future => false,
            () = std::future::ready(()) => true,
        }
    }

    #[test]
    fn of_progress_the_oldest_goes_first() {
        let outbox = Outbox::default();
        (0..100).for_each(|detail| outbox.tell(entered(&detail.to_string())));
        let details: Vec<_> = drained(&outbox)
            .into_iter()
            .map(|message| {
                let Message::Progress(progress) = message else { panic!("{message:?}") };
                progress.detail
            })
            .collect();
        let expected: Vec<_> = (36..100).map(|detail| detail.to_string()).collect();
        assert_eq!(details, expected);
    }

    #[test]
    fn output_is_bounded_and_what_is_lost_is_the_oldest_and_counted() {
        let outbox = Outbox::default();
        outbox.tell(output(100_000, 0));
        outbox.tell(wrote(vec!["y".repeat(10_000)]));
        let mut kept = Vec::new();
        for message in drained(&outbox) {
            let Message::Output(output) = message else { panic!("{message:?}") };
            assert!(output.lines.len() <= 256);
            kept.extend(output.lines);
        }
        let lost = 100_000 + 1 - (kept.len() - 1);
        assert_eq!(kept[0], format!("[floe: {lost} lines were left out here]"));
        assert_eq!(kept[kept.len() - 1], "y".repeat(MAX_LINE));
        assert!((3000..=MAX_OUTPUT_COST / 64).contains(&kept.len()), "{}", kept.len());
        assert_eq!(outbox.lock().output_cost, 0);
    }

    #[test]
    fn of_a_preview_the_end_is_never_lost_and_an_older_one_says_nothing_any_more() {
        let outbox = Outbox::default();
        let news = |id: &str, news| pb::PreviewNews { id: id.to_owned(), news: Some(news) };
        let output = pb::PreviewOutput { lines: vec!["building".to_owned()] };
        let wrote = pb::preview_news::News::Output(output);
        let failed = pb::preview_news::News::Failed("no room".to_owned());
        outbox.preview(news("older", failed.clone()));
        (0..100).for_each(|_| outbox.preview(news("newer", wrote.clone())));
        outbox.preview(news("newer", failed.clone()));
        let told = drained(&outbox);
        assert_eq!(told.len(), MAX_PREVIEWS);
        assert_eq!(told.last(), Some(&Message::Preview(news("newer", failed.clone()))));
        outbox.preview(news("newer", failed));
        outbox.rewind();
        assert!(drained(&outbox).is_empty(), "who asked is gone with the stream");
    }

    #[tokio::test]
    async fn a_report_is_sent_once_on_each_stream_until_it_is_acknowledged() {
        let outbox = Outbox::default();
        let mut delivery = std::pin::pin!(outbox.deliver(report("a-1")));
        assert!(waits(&mut delivery).await);
        assert_eq!(drained(&outbox).len(), 1);
        outbox.rewind();
        assert_eq!(drained(&outbox).len(), 1, "again on the next stream");
        outbox.acknowledge("a-2");
        assert!(waits(&mut delivery).await, "another's acknowledgement");
        outbox.acknowledge("a-1");
        delivery.await;
        outbox.rewind();
        assert!(drained(&outbox).is_empty());
    }

    #[test]
    fn a_new_stream_hears_where_the_activation_stands() {
        let outbox = Outbox::default();
        outbox.tell(entered("1"));
        outbox.tell(entered("2"));
        assert_eq!(drained(&outbox).len(), 2);
        outbox.rewind();
        let told = drained(&outbox);
        assert!(matches!(told.as_slice(), [Message::Progress(p)] if p.detail == "2"), "{told:?}");
        outbox.acknowledge("a-1");
        outbox.rewind();
        assert!(drained(&outbox).is_empty(), "what is over is not told again");
    }
}
