//! One preview at a time; whoever asks later takes the place of what is under way.

use std::future::pending;

use floe_proto::admit::Floors;
use floe_proto::id::ActivationId;
use log::{info, warn};
use tokio::sync::watch;

use super::Difference;
use crate::activation::door::{Believed, Door, Previewed};
use crate::activation::ports::Clock;
use crate::activation::state::Fault;

/// What the names of previews begin with, among those of activations.
pub const PREFIX: &str = "preview-";

/// A preview that somebody wants, as it came: not yet verified. Never printed: see `url`.
#[derive(Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its name.
    pub id: String,
    /// DSSE envelope around the preview.
    pub envelope: Vec<u8>,
    /// Where its payload lies; a secret for minutes.
    pub url: String,
}

/// What is said of a preview.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What the build writes.
    Wrote(Vec<String>),
    /// The end of it.
    Ended(Result<Box<Difference>, Fault>),
}

/// Who wants to know.
pub trait Say: Send + Sync {
    /// Passes on what there is to say of the preview `id`. Never waits.
    fn say(&self, id: &str, answer: Answer);
}

/// What can build on this machine, and compare.
pub trait Builder: Send + Sync {
    /// Whether anything keeps a preview from being built now: its floors, if not.
    ///
    /// # Errors
    ///
    /// What does.
    fn floors(&self) -> Result<Floors, Fault>;

    /// Builds what was `asked`, and compares it with what runs.
    ///
    /// # Errors
    ///
    /// Why there is nothing to compare. Nothing on the machine has changed.
    fn compare(
        &self,
        asked: &Previewed,
        name: ActivationId,
        url: &str,
        tell: impl FnMut(Vec<String>) + Send,
    ) -> impl Future<Output = Result<Difference, Fault>> + Send;

    /// Removes what is left of any preview.
    fn clean(&self) -> impl Future<Output = ()> + Send;
}

/// What [`serve`] goes between.
pub struct Parts<B, S, C> {
    /// The machine.
    pub builder: B,
    /// The line to the control plane.
    pub say: S,
    /// The time of now.
    pub clock: C,
    /// Who judges what may be built here.
    pub door: Door,
    /// Whose signatures count.
    pub trust: watch::Receiver<Believed>,
}

/// Answers what is `asked`, one after the other; never ends.
pub async fn serve<B: Builder, S: Say, C: Clock>(
    mut asked: watch::Receiver<Option<Asked>>,
    parts: Parts<B, S, C>,
) {
    // What an earlier process left.
    parts.builder.clean().await;
    loop {
        news(&mut asked).await;
        let Some(now) = asked.borrow_and_update().clone() else { continue };
        let done = tokio::select! {
            done = parts.answer(&now) => Some(done),
            () = news(&mut asked) => {
                asked.mark_changed();
                None
            }
        };
        parts.builder.clean().await;
        let Some(done) = done else { continue };
        match &done {
            Ok(_) => info!("told what a bundle would change here"),
            Err(why) => warn!("could not tell what a bundle would change here: {why}"),
        }
        parts.say.say(&now.id, Answer::Ended(done.map(Box::new)));
    }
}

async fn news(asked: &mut watch::Receiver<Option<Asked>>) {
    if asked.changed().await.is_err() {
        // There is no session any more: the process is about to end.
        pending::<()>().await;
    }
}

impl<B: Builder, S: Say, C: Clock> Parts<B, S, C> {
    async fn answer(&self, asked: &Asked) -> Result<Difference, Fault> {
        let name: ActivationId = format!("{PREFIX}{}", asked.id)
            .parse()
            .map_err(|_| Fault::new("the control plane gave the preview a name that is none"))?;
        // An older agent does not know the question and says nothing.
        self.say.say(&asked.id, Answer::Wrote(Vec::new()));
        let floors = self.builder.floors()?;
        let believed = self.trust.borrow().clone();
        let preview =
            self.door.admit_preview(&asked.envelope, &believed, &floors, self.clock.now())?;
        let serial = preview.manifest.serial;
        info!(serial:% = serial; "building a bundle to be looked at");
        let tell = |lines| self.say.say(&asked.id, Answer::Wrote(lines));
        self.builder.compare(&preview, name, &asked.url, tell).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use floe_proto::time::Timestamp;
    use floe_proto::verify;
    use tokio::sync::Notify;

    use super::*;
    use crate::testing::trust;

    /// A machine whose builds end when they are told to, with a refusal that is told.
    #[derive(Clone, Default)]
    struct Played {
        seen: Arc<Mutex<Vec<String>>>,
        begun: Arc<Notify>,
        ends: Arc<Notify>,
    }

    impl Played {
        fn note(&self, what: impl Into<String>) {
            self.seen.lock().unwrap().push(what.into());
        }

        fn seen(&self) -> Vec<String> {
            self.seen.lock().unwrap().clone()
        }
    }

    impl Builder for Played {
        fn floors(&self) -> Result<Floors, Fault> {
            Ok(Floors::default())
        }

        async fn compare(
            &self,
            _: &Previewed,
            name: ActivationId,
            url: &str,
            _: impl FnMut(Vec<String>) + Send,
        ) -> Result<Difference, Fault> {
            self.note(format!("build {name} of {url}"));
            self.begun.notify_one();
            self.ends.notified().await;
            Err(Fault::new("it does not build"))
        }

        async fn clean(&self) {
            self.note("clean");
        }
    }

    impl Say for Played {
        fn say(&self, id: &str, answer: Answer) {
            match answer {
                Answer::Wrote(lines) => assert_eq!(lines, [""; 0]),
                Answer::Ended(Ok(found)) => panic!("{found:?}"),
                Answer::Ended(Err(why)) => {
                    self.note(format!("{id}: {why}"));
                    self.begun.notify_one();
                }
            }
        }
    }

    struct At(Timestamp);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            self.0
        }
    }

    fn asked(id: &str, by: u8) -> Option<Asked> {
        let (envelope, _) = trust::preview(by);
        Some(Asked { id: id.to_owned(), envelope, url: format!("https://{id}") })
    }

    /// What a machine does while `plays` asks.
    async fn after(plays: impl AsyncFnOnce(&watch::Sender<Option<Asked>>, &Played)) -> Vec<String> {
        let root = verify::pinned_root(&trust::root(1, &[1], &[2], &[1])).unwrap();
        let (_trust, believed) = watch::channel(Believed { at_least: 1, root });
        let (ask, heard) = watch::channel(None);
        let played = Played::default();
        let parts = Parts {
            builder: played.clone(),
            say: played.clone(),
            clock: At(trust::preview(2).1),
            door: Door { host: trust::host(), closed: None },
            trust: believed,
        };
        tokio::select! {
            () = serve(heard, parts) => {}
            () = plays(&ask, &played) => {}
        }
        played.seen()
    }

    #[tokio::test]
    async fn what_is_asked_is_built_cleaned_up_and_told() {
        let seen = after(async |ask, played| {
            ask.send_replace(asked("p-1", 2));
            played.begun.notified().await;
            played.ends.notify_one();
            played.begun.notified().await;
        });
        let expected =
            ["clean", "build preview-p-1 of https://p-1", "clean", "p-1: it does not build"];
        assert_eq!(seen.await, expected);
    }

    #[tokio::test]
    async fn whoever_asks_later_takes_the_place_of_what_is_under_way() {
        let seen = after(async |ask, played| {
            ask.send_replace(asked("p-1", 2));
            played.begun.notified().await;
            ask.send_replace(asked("p-2", 2));
            played.begun.notified().await;
            played.ends.notify_one();
            played.begun.notified().await;
        });
        let seen = seen.await;
        assert_eq!(seen.iter().filter(|what| what.starts_with("build")).count(), 2);
        assert_eq!(seen[2], "clean", "before the next begins: {seen:?}");
        assert_eq!(seen.last().unwrap(), "p-2: it does not build");
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_given_up() {
        let seen = after(async |ask, played| {
            ask.send_replace(asked("p-1", 2));
            played.begun.notified().await;
            ask.send_replace(None);
            ask.send_replace(asked("p-2", 9));
            played.begun.notified().await;
        });
        let seen = seen.await;
        assert_eq!(seen[2], "clean", "{seen:?}");
        assert!(seen.iter().all(|what| !what.starts_with("p-1:")), "{seen:?}");
    }

    #[tokio::test]
    async fn t009_what_no_release_key_signed_is_not_built() {
        let seen = after(async |ask, played| {
            ask.send_replace(asked("p-1", 9));
            played.begun.notified().await;
        });
        let seen = seen.await;
        assert!(seen.iter().all(|what| !what.starts_with("build")), "{seen:?}");
        assert!(seen.last().unwrap().contains("release keys"), "{seen:?}");
    }

    #[tokio::test]
    async fn a_name_that_leads_elsewhere_is_none() {
        let seen = after(async |ask, played| {
            ask.send_replace(asked("../../etc", 2));
            played.begun.notified().await;
        });
        assert!(seen.await.last().unwrap().contains("a name that is none"));
    }
}
