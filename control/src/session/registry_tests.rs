//! Streams that take turns, and those that are ended.

use floe_proto::pb::preview_news::News;
use floe_proto::time::Timestamp;

use super::*;

fn sessions() -> Sessions {
    Sessions::new(|| Timestamp::from_micros(7))
}

fn open(sessions: &Sessions, host: &str) -> Seat {
    open_as(sessions, host, "")
}

fn open_as(sessions: &Sessions, host: &str, process: &str) -> Seat {
    let greeting = Greeting {
        agent_version: "0.1.0".into(),
        system: "x86_64-linux".into(),
        running: String::new(),
        confirmed: None,
        suspended: None,
        process: process.into(),
    };
    let ticket = sessions.ticket();
    sessions.open(host.parse().unwrap(), "www".parse().unwrap(), greeting, ticket)
}

#[tokio::test]
async fn t134_two_machines_with_one_identity_are_seen_and_neither_is_told_anything() {
    let sessions = sessions();
    let host: HostId = "local-a".parse().unwrap();
    let _first = open_as(&sessions, "local-a", "one");
    let _restarted = open_as(&sessions, "local-a", "two");
    let _again = open_as(&sessions, "local-a", "two");
    assert_eq!(sessions.here().len(), 1, "an agent may restart and reconnect");
    let seat = open_as(&sessions, "local-a", "one");
    assert!(!seat.may_be_told());
    assert!(sessions.here().is_empty());
    assert_eq!(sessions.alarm().await, (host.clone(), Sign::Turns));
    sessions.alarm_is_written(&host);
    let other = open_as(&sessions, "local-a", "two");
    assert!(!other.may_be_told());
    assert!(sessions.table().alarms.is_empty(), "one alarm is enough");
    sessions.resolve(&host);
    assert!(other.may_be_told());
    assert_eq!(sessions.here().len(), 1);
}

#[tokio::test]
async fn t134_who_does_not_say_which_process_it_is_is_seen_as_well() {
    let sessions = sessions();
    let _silent = open(&sessions, "local-b");
    assert!(open(&sessions, "local-b").may_be_told(), "an agent that never says reconnects");
    let _host = open_as(&sessions, "local-a", "one");
    let thief = open(&sessions, "local-a");
    assert!(thief.may_be_told());
    assert!(!open_as(&sessions, "local-a", "one").may_be_told());
    assert!(!thief.may_be_told());
}

#[tokio::test]
async fn t082_a_host_that_is_ended_between_look_up_and_hello_is_ended() {
    let sessions = sessions();
    let host: HostId = "local-a".parse().unwrap();
    let ticket = sessions.ticket();
    sessions.end(&host, Status::permission_denied("revoked"));
    let greeting = Greeting {
        agent_version: String::new(),
        system: String::new(),
        running: String::new(),
        confirmed: None,
        suspended: None,
        process: String::new(),
    };
    let role: Role = "www".parse().unwrap();
    let mut seat = sessions.open(host.clone(), role.clone(), greeting.clone(), ticket);
    assert!(futures_util::poll!(&mut seat.ended).is_ready());
    let mut seat = sessions.open(host, role, greeting, sessions.ticket());
    assert!(futures_util::poll!(&mut seat.ended).is_pending());
}

#[tokio::test]
async fn a_newer_stream_ends_the_older_and_stays_when_that_is_gone() {
    let sessions = sessions();
    let mut older = open(&sessions, "local-a");
    let newer = open(&sessions, "local-a");
    let status = (&mut older.ended).await.unwrap();
    assert_eq!(status.code(), tonic::Code::Aborted);
    drop(older);
    assert!(sessions.presence(newer.host()).unwrap().online);
    assert_eq!(sessions.here().len(), 1);
    let host = newer.host().clone();
    drop(newer);
    assert!(!sessions.presence(&host).unwrap().online);
    assert!(sessions.here().is_empty());
}

#[tokio::test]
async fn closing_ends_all_streams_and_every_new_one() {
    let sessions = sessions();
    let mut early = open(&sessions, "local-a");
    sessions.close();
    let mut late = open(&sessions, "local-b");
    assert_eq!((&mut early.ended).await.unwrap().code(), tonic::Code::Unavailable);
    assert_eq!((&mut late.ended).await.unwrap().code(), tonic::Code::Unavailable);
    drop((early, late));
    assert!(sessions.here().is_empty());
}

#[tokio::test]
async fn a_stream_finds_the_newest_order_only() {
    let sessions = sessions();
    let mut seat = open(&sessions, "local-a");
    sessions.order(seat.host(), None);
    sessions.order(seat.host(), None);
    assert!(seat.wanted.has_changed().unwrap());
    seat.wanted.mark_unchanged();
    assert!(!seat.wanted.has_changed().unwrap());
}

#[tokio::test]
async fn what_is_written_down_is_written_once() {
    let sessions = sessions();
    let seat = open(&sessions, "local-a");
    sessions.has_news().await;
    assert_eq!(sessions.take_news().len(), 1);
    assert!(sessions.take_news().is_empty());
    seat.is_heard();
    let news = sessions.take_news();
    assert_eq!(news[0].1.last_seen, Timestamp::from_micros(7));
    sessions.put_back(news.into_iter().map(|(host, _)| host));
    assert_eq!(sessions.take_news().len(), 1);
}

#[tokio::test]
async fn that_a_host_is_suspended_is_known_as_long_as_it_says_so() {
    let sessions = sessions();
    let host: HostId = "local-a".parse().unwrap();
    let seat = open(&sessions, "local-a");
    let suspended = Suspended { since: Timestamp::default(), reason: "new disk".into() };
    seat.suspends(Some(suspended.clone()));
    assert_eq!(sessions.here()[&host].suspended, Some(suspended));
    seat.suspends(None);
    assert_eq!(sessions.here()[&host].suspended, None);
}

#[tokio::test]
async fn a_host_is_asked_and_answers_what_it_was_asked_last() {
    let sessions = sessions();
    let mut seat = open(&sessions, "local-a");
    let host = seat.host().clone();
    assert_eq!(sessions.ready(&"www".parse().unwrap()), std::slice::from_ref(&host));
    assert!(sessions.ready(&"db".parse().unwrap()).is_empty());
    let (older, mut unanswered) = Question::new("p-1".into(), Vec::new(), String::new());
    let (newer, mut answered) = Question::new("p-2".into(), Vec::new(), String::new());
    assert!(sessions.ask(&host, older));
    assert!(sessions.ask(&host, newer));
    assert!(unanswered.recv().await.is_none(), "something newer took its place");
    assert_eq!(seat.asked.borrow_and_update().as_ref().unwrap().id, "p-2");
    seat.answers("p-1", News::Failed("late".into()));
    seat.answers("p-2", News::Failed("no room".into()));
    assert_eq!(answered.recv().await, Some(News::Failed("no room".into())));
    sessions.unask(&host, "p-1");
    assert!(seat.asked.borrow().is_some(), "another's question");
    sessions.unask(&host, "p-2");
    assert!(seat.asked.borrow_and_update().is_none());
    let (last, mut unanswered) = Question::new("p-4".into(), Vec::new(), String::new());
    assert!(sessions.ask(&host, last));
    drop(seat);
    assert!(unanswered.recv().await.is_none(), "the host went away");
    let (nobody, _answers) = Question::new("p-3".into(), Vec::new(), String::new());
    assert!(!sessions.ask(&host, nobody));
}

#[tokio::test]
async fn a_host_that_is_suspended_or_two_machines_is_not_asked() {
    let sessions = sessions();
    let role = "www".parse().unwrap();
    let seat = open(&sessions, "local-a");
    seat.suspends(Some(Suspended { since: Timestamp::default(), reason: String::new() }));
    assert!(sessions.ready(&role).is_empty());
    seat.suspends(None);
    sessions.quarantine(seat.host());
    assert!(sessions.ready(&role).is_empty());
}

#[tokio::test]
async fn a_host_that_is_held_can_be_asked_and_is_told_nothing_until_it_is_released() {
    let sessions = sessions();
    let seat = open(&sessions, "local-a");
    let host = seat.host().clone();
    sessions.hold(&host);
    assert!(!seat.may_be_told() && seat.may_be_asked());
    assert!(sessions.here()[&host].held);
    assert_eq!(sessions.ready(&"www".parse().unwrap()), std::slice::from_ref(&host));
    sessions.release(&host);
    assert!(seat.may_be_told());
    assert!(!sessions.here()[&host].held);
}
