//! `floe.v1.Preview`: what a bundle would change on one host, asked and passed on.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use floe_proto::id::{HostId, Role};
use floe_proto::manifest::Manifest;
use floe_proto::pb;
use floe_proto::pb::preview_answer::Answer;
use floe_proto::pb::preview_news::News;
use floe_proto::verify;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Request, Response, Status};
use tracing::info;

use super::failure;
use crate::clock;
use crate::objects::{Object, Presence, Upload, s3};
use crate::serve::app::App;
use crate::serve::auth;
use crate::session::text::{self, MAX_LINE, MAX_NAME, MAX_REASON};
use crate::session::{Question, Seat, Sessions};

/// The handler.
pub struct Preview {
    app: Arc<App>,
}

impl Preview {
    /// The handler of a running control plane.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl pb::preview_server::Preview for Preview {
    async fn begin_preview(
        &self,
        request: Request<pb::BeginPreviewRequest>,
    ) -> Result<Response<pb::BeginPreviewReply>, Status> {
        let topic = auth::topic(&request);
        let manifest = self.believed(&request.get_ref().preview_envelope)?;
        topic.is(format_args!("{}", manifest.role));
        let (object, length) = object(&manifest);
        let objects = &self.app.objects;
        let there = objects.presence(&object, length).await;
        let Upload { url, headers } = match there.map_err(of_objects)? {
            Presence::There => Upload { url: String::new(), headers: Vec::new() },
            Presence::Absent | Presence::Other => {
                objects.upload(&object, length).await.map_err(of_objects)?
            }
        };
        let upload_headers =
            headers.into_iter().map(|(name, value)| pb::Header { name, value }).collect();
        Ok(Response::new(pb::BeginPreviewReply { upload_url: url, upload_headers }))
    }

    type ShowPreviewStream = Pin<Box<dyn Stream<Item = Result<pb::PreviewAnswer, Status>> + Send>>;

    async fn show_preview(
        &self,
        request: Request<pb::ShowPreviewRequest>,
    ) -> Result<Response<Self::ShowPreviewStream>, Status> {
        let (operator, topic) = (auth::operator(&request)?, auth::topic(&request));
        let pb::ShowPreviewRequest { preview_envelope, host } = request.into_inner();
        let manifest = self.believed(&preview_envelope)?;
        let (object, length) = object(&manifest);
        let host = self.chosen(&host, &manifest.role)?;
        topic.is(format_args!("{} on {host}", manifest.role));
        match self.app.objects.presence(&object, length).await.map_err(of_objects)? {
            Presence::There => {}
            Presence::Absent | Presence::Other => {
                return Err(Status::failed_precondition("the payload is not uploaded"));
            }
        }
        let url = self.app.objects.download(&object).await.map_err(of_objects)?;
        let id = name()?;
        let (question, answers) = Question::new(id.clone(), preview_envelope, url);
        if !self.app.sessions.ask(&host, question) {
            return Err(Status::not_found(format!("`{host}` is not connected")));
        }
        info!(%host, role = %manifest.role, operator, "asked a host what would change");
        let asking = Asking { sessions: self.app.sessions.clone(), host: host.clone(), id };
        let answers = relayed(host, answers).map(move |answer| {
            let _asking = &asking;
            Ok(pb::PreviewAnswer { answer: Some(answer) })
        });
        let answers = answers.take_until(self.app.closing.clone().cancelled_owned());
        Ok(Response::new(Box::pin(answers)))
    }
}

impl Preview {
    fn believed(&self, envelope: &[u8]) -> Result<Manifest, Status> {
        let root = &self.app.roots.newest().root;
        let preview = verify::preview(envelope, root, clock::now());
        let preview = preview.map_err(|error| failure::refused(&error))?;
        Ok(Manifest::clone(&preview))
    }

    /// The host that is named, or the first of the role that can be asked.
    fn chosen(&self, named: &str, role: &Role) -> Result<HostId, Status> {
        let ready = self.app.sessions.ready(role);
        if named.is_empty() {
            let first = ready.into_iter().next();
            return first.ok_or_else(|| {
                Status::not_found(format!("no host of role `{role}` is connected and can be asked"))
            });
        }
        let host: HostId = named.parse().map_err(failure::malformed)?;
        if !ready.contains(&host) {
            return Err(Status::not_found(format!(
                "`{host}` is no host of role `{role}` that is connected and can be asked"
            )));
        }
        Ok(host)
    }
}

/// What the host is to be told of previews now, if anything: a question, or that nobody waits for
/// the one before.
pub(super) fn next(seat: &mut Seat) -> Option<pb::PreviewOrder> {
    if !seat.asked.has_changed().unwrap_or(false) {
        return None;
    }
    let Some(question) = seat.asked.borrow_and_update().clone() else {
        return Some(pb::PreviewOrder::default());
    };
    if !seat.may_be_asked() {
        question.answer(News::Failed("two machines have the identity of this host".to_owned()));
        return None;
    }
    Some(pb::PreviewOrder {
        id: question.id.clone(),
        preview_envelope: question.envelope.clone(),
        payload_url: question.url.clone(),
    })
}

/// Takes a question back when nobody reads its answers any more.
struct Asking {
    sessions: Sessions,
    host: HostId,
    id: String,
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.sessions.unask(&self.host, &self.id);
    }
}

/// The host, what it says, and that it says nothing any more where it does not come to an end.
fn relayed(host: HostId, answers: mpsc::Receiver<News>) -> impl Stream<Item = Answer> + Send {
    let silent = format!("`{host}` does not answer: is its agent as new as the control plane?");
    let gone = format!("`{host}` went away, or somebody asked it again meanwhile");
    let answer = |news| match news {
        News::Output(output) => Answer::Output(output),
        News::Difference(difference) => Answer::Difference(difference),
        News::Failed(why) => Answer::Failed(why),
    };
    let said = stream::unfold((answers, false), move |(mut answers, spoke)| {
        let silent = silent.clone();
        async move {
            let news = if spoke {
                answers.recv().await
            } else {
                // It says at once that it was understood; an older one does not know the word.
                let first = timeout(FIRST_WORD, answers.recv()).await;
                first.unwrap_or(Some(News::Failed(silent)))
            };
            news.map(|news| (answer(news), (answers, true)))
        }
    });
    let first = stream::iter([Answer::Host(host.into())]);
    let all = first.chain(said).chain(stream::iter([Answer::Failed(gone)]));
    stream::unfold(Some(Box::pin(all)), |all| async move {
        let mut all = all?;
        let answer = all.next().await?;
        let is_last = match &answer {
            Answer::Host(_) | Answer::Output(_) => false,
            Answer::Difference(_) | Answer::Failed(_) => true,
        };
        Some((answer, (!is_last).then_some(all)))
    })
}

/// How long a host may take to say anything at all.
const FIRST_WORD: Duration = Duration::from_secs(30);

fn object(manifest: &Manifest) -> (Object, u64) {
    (Object::Payload(manifest.payload.sha256), manifest.payload.length.get())
}

/// A name that no other preview has.
fn name() -> Result<String, Status> {
    let random = getrandom::u64().map_err(|_| Status::internal("there is no randomness"))?;
    Ok(format!("{random:016x}"))
}

fn of_objects(error: s3::Error) -> Status {
    failure::internal(&error, true)
}

/// The most lines of one message, and the most entries of one list (session.proto).
const MAX_LINES: usize = 256;
const MAX_ENTRIES: usize = 4000;

/// The lists of names in what a host says.
fn names(found: &mut pb::Difference) -> [&mut Vec<String>; 7] {
    let units = found.units.get_or_insert_default();
    [
        &mut units.stop,
        &mut units.start,
        &mut units.restart,
        &mut units.reload,
        &mut units.left_alone,
        &mut units.other,
        &mut found.reboot,
    ]
}

/// Cuts lists that are longer than a host may send; by how much.
fn bound(found: &mut pb::Difference) -> u32 {
    fn cut<T>(list: &mut Vec<T>) -> usize {
        let over = list.len().saturating_sub(MAX_ENTRIES);
        list.truncate(MAX_ENTRIES);
        over
    }
    let over: usize = names(found).into_iter().map(cut).sum();
    let over = over + cut(&mut found.files) + cut(&mut found.added) + cut(&mut found.removed);
    u32::try_from(over).unwrap_or(u32::MAX)
}

/// What a host says, without what could drive a terminal.
pub(super) fn harmless(news: News) -> News {
    let clean = |text: &mut String, limit| *text = text::harmless(text, limit);
    match news {
        News::Output(mut output) => {
            output.lines.truncate(MAX_LINES);
            output.lines.iter_mut().for_each(|line| clean(line, MAX_LINE));
            News::Output(output)
        }
        News::Failed(why) => News::Failed(text::harmless(&why, MAX_REASON)),
        News::Difference(mut found) => {
            let left_out = bound(&mut found);
            found.left_out = found.left_out.saturating_add(left_out);
            clean(&mut found.refused, MAX_REASON);
            clean(&mut found.files_unknown, MAX_REASON);
            clean(&mut found.units.get_or_insert_default().unknown, MAX_REASON);
            names(&mut found).into_iter().flatten().for_each(|name| clean(name, MAX_NAME));
            let names = [&mut found.running, &mut found.built].into_iter();
            let files = found.files.iter_mut().map(|file| &mut file.path);
            let objects = found.added.iter_mut().chain(&mut found.removed);
            let names = names.chain(files).chain(objects.map(|object| &mut object.name));
            names.for_each(|name| clean(name, MAX_NAME));
            News::Difference(found)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t096_nothing_that_a_host_says_of_a_preview_drives_a_terminal() {
        let evil = || "\u{1b}]0;owned\u{7}".to_owned();
        let object = || pb::StoreObject { name: evil(), bytes: 1 };
        let said = News::Difference(pb::Difference {
            running: evil(),
            built: evil(),
            units: Some(pb::Units {
                stop: vec![evil()],
                start: vec![evil()],
                restart: vec![evil()],
                reload: vec![evil()],
                left_alone: vec![evil()],
                other: vec![evil()],
                unknown: evil(),
            }),
            reboot: vec![evil()],
            files: vec![pb::FileChange { path: evil(), change: 1 }],
            added: vec![object()],
            removed: vec![object()],
            refused: evil(),
            files_unknown: evil(),
            ..pb::Difference::default()
        });
        let output = News::Output(pb::PreviewOutput { lines: vec![evil()] });
        for news in [said, output, News::Failed(evil())] {
            // What is written out as an escape has another backslash before it here.
            let shown = format!("{:?}", harmless(news)).replace("\\\\u{", "");
            assert!(!shown.contains("\\u{"), "{shown}");
        }
    }

    #[tokio::test]
    async fn a_host_that_says_nothing_any_more_is_named() {
        let (question, answers) = Question::new("p-1".into(), Vec::new(), String::new());
        question.answer(News::Output(pb::PreviewOutput::default()));
        drop(question);
        let all: Vec<_> = relayed("local-a".parse().unwrap(), answers).collect().await;
        assert_eq!(all.len(), 3);
        assert!(matches!(&all[2], Answer::Failed(why) if why.contains("`local-a` went away")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_does_not_know_the_question_is_not_waited_for() {
        let (_question, answers) = Question::new("p-1".into(), Vec::new(), String::new());
        let all: Vec<_> = relayed("local-a".parse().unwrap(), answers).collect().await;
        assert!(matches!(&all[1], Answer::Failed(why) if why.contains("does not answer")));
    }

    #[test]
    fn lists_are_no_longer_than_they_may_be() {
        let name = || "a".to_owned();
        let found = pb::Difference {
            reboot: vec![name(); MAX_ENTRIES + 7],
            removed: vec![pb::StoreObject::default(); MAX_ENTRIES + 1],
            ..pb::Difference::default()
        };
        let News::Difference(found) = harmless(News::Difference(found)) else { panic!() };
        assert_eq!((found.reboot.len(), found.left_out), (MAX_ENTRIES, 8));
    }

    #[tokio::test]
    async fn after_the_end_comes_nothing() {
        let (question, answers) = Question::new("p-1".into(), Vec::new(), String::new());
        question.answer(News::Failed("no room".into()));
        let all: Vec<_> = relayed("local-a".parse().unwrap(), answers).collect().await;
        assert_eq!(all, [Answer::Host("local-a".into()), Answer::Failed("no room".into())]);
    }
}
