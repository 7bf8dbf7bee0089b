//! Keys that somebody else has as well, and who asks all the time: seen, and bounded.

use super::*;
use crate::store::{AuditEntry, AuditQuery};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t095_an_answer_that_was_lost_is_not_given_all_the_time() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let machine = running.machine("local-a").await;
    let new = KeyPair::generate().unwrap();
    for _ in 0..11 {
        running.renew(&machine, &new).await.unwrap();
    }
    assert_eq!(code(running.renew(&machine, &new).await), Code::ResourceExhausted);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t084_what_one_host_is_refused_keeps_no_neighbour_out_and_is_on_record_as_its() {
    let dir = tempfile::tempdir().unwrap();
    let config = ServeConfig { host_lifetime: Duration::ZERO, ..settings(dir.path()) };
    let running = Running::start_with(config).await;
    let (machine, neighbour) = (running.machine("local-a").await, running.machine("local-b").await);
    let (new, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    running.renew_expired(&machine, &new).await.unwrap();
    for _ in 0..10 {
        assert_eq!(code(running.renew_expired(&machine, &other).await), Code::PermissionDenied);
    }
    assert_eq!(code(running.renew_expired(&machine, &other).await), Code::ResourceExhausted);
    // Nor does who guesses at tokens, from the same address.
    for _ in 0..5 {
        let guess = running.enrol("local-c", "floe-join-guess").await;
        assert_eq!(code(guess.map(drop)), Code::Unauthenticated);
    }
    running.renew_expired(&neighbour, &other).await.unwrap();
    running.stop().await;
    let rows = audit_log(dir.path()).await;
    let row = |action: &str, outcome: &str| {
        let is = |row: &&AuditEntry| row.action == action && row.outcome == outcome;
        rows.iter().filter(is).map(|row| row.target.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(row("conflict", "ok"), ["local-a"]);
    assert_eq!(row("Enrolment/RenewExpired", "permission-denied"), ["local-a"; 10]);
}

async fn audit_log(data: &Path) -> Vec<AuditEntry> {
    let store = Store::open(&data.join("floe.sqlite")).await.unwrap();
    let all = AuditQuery { limit: 100, ..AuditQuery::default() };
    store.audit_log(&all).await.unwrap().into_iter().map(|row| row.entry).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t080_a_host_that_only_comes_back_to_its_stream_finds_out_who_renewed_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let machine = running.machine("local-a").await;
    let thief = KeyPair::generate().unwrap();
    let certificate = running.renew(&machine, &thief).await.unwrap();
    let thief = Machine::new(thief, certificate);
    let _stolen = running.session(&thief, "thief").await;
    // So soon it may be a stream that was opened before the renewal was answered.
    assert_eq!(code(running.try_session(&machine, "").await.map(drop)), Code::PermissionDenied);
    assert_eq!(running.shown("local-a").await.conflict, 0);
    running.stop().await;

    let records = format!("sqlite:{}/floe.sqlite", dir.path().display());
    let records = sqlx::AnyPool::connect(&records).await.unwrap();
    let earlier = sqlx::query("UPDATE hosts SET renewed = renewed - $1");
    earlier.bind(61_000_000_i64).execute(&records).await.unwrap();
    records.close().await;
    let running = Running::start(dir.path()).await;
    // Another kind of call says nothing.
    assert_eq!(code(running.is_heard(&machine).await), Code::PermissionDenied);
    assert_eq!(running.shown("local-a").await.conflict, 0);
    let _stolen = running.session(&thief, "thief").await;
    assert_eq!(code(running.try_session(&machine, "").await.map(drop)), Code::PermissionDenied);
    assert!(running.shown("local-a").await.conflict_reason.contains("stream"));
    running.stop().await;
    let rows = audit_log(dir.path()).await;
    assert_eq!(rows.iter().find(|row| row.action == "conflict").unwrap().target, "local-a");
}
