//! Keys that somebody else has as well, and who asks all the time: seen, and bounded.

use super::*;
use crate::store::{AuditEntry, AuditQuery};

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
