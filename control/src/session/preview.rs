//! A preview on its way to one host, and what that host says of it on its way back.
//!
//! Nothing of it is stored: who asks waits, and the host's stream is where it waits. The newest
//! question to a host takes the place of the one before.

use std::sync::Arc;

use floe_proto::pb::preview_news::News;
use tokio::sync::mpsc;

/// How much of what a host says may wait to be read; of what its build writes the rest is lost.
const WAITING: usize = 64;

/// A preview that somebody waits for. Never printed: see `url`.
pub struct Question {
    /// Its name.
    pub id: String,
    /// DSSE envelope around the preview.
    pub envelope: Vec<u8>,
    /// Where its payload lies; a secret for minutes.
    pub url: String,
    answers: mpsc::Sender<News>,
}

impl Question {
    /// A question, and where its answers come: no more of them come when it is dropped, since
    /// the host went away or somebody asked it something newer.
    pub fn new(id: String, envelope: Vec<u8>, url: String) -> (Arc<Self>, mpsc::Receiver<News>) {
        let (answers, heard) = mpsc::channel(WAITING);
        (Arc::new(Self { id, envelope, url, answers }), heard)
    }

    /// Whether anybody waits.
    pub fn is_wanted(&self) -> bool {
        !self.answers.is_closed()
    }

    /// Passes on what the host says. Never waits; there is always room for the end.
    pub fn answer(&self, news: News) {
        let is_last = match &news {
            News::Output(_) => false,
            News::Difference(_) | News::Failed(_) => true,
        };
        if is_last || self.answers.capacity() > 1 {
            // Who asked may be gone; then nobody wants it.
            let _ = self.answers.try_send(news);
        }
    }
}

#[cfg(test)]
mod tests {
    use floe_proto::pb;

    use super::*;

    #[tokio::test]
    async fn the_end_comes_through_however_much_was_written_before() {
        let (question, mut answers) = Question::new("p-1".into(), Vec::new(), String::new());
        for _ in 0..1000 {
            question.answer(News::Output(pb::PreviewOutput::default()));
        }
        question.answer(News::Failed("no room".into()));
        assert!(question.is_wanted());
        drop(question);
        let mut last = None;
        while let Some(news) = answers.recv().await {
            last = Some(news);
        }
        assert_eq!(last, Some(News::Failed("no room".into())));
    }

    #[tokio::test]
    async fn who_left_wants_nothing() {
        let (question, answers) = Question::new("p-1".into(), Vec::new(), String::new());
        drop(answers);
        assert!(!question.is_wanted());
        question.answer(News::Failed(String::new()));
    }
}
