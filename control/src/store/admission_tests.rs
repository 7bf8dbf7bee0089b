//! An instance enrols once, by itself or by an approval that counts once.

use floe_proto::id::HostId;
use tokio::task::JoinSet;

use super::super::approvals::Decision;
use super::super::images::ImageRecord;
use super::super::pool::tests::store;
use super::super::{Renewal, Renewed};
use super::*;
use crate::enrol::instance::Region;

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

fn later(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

fn arrival(instance: &str, key: &str) -> Arrival {
    Arrival {
        document: Document {
            account: "123456789012".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
            instance: instance.parse().unwrap(),
            image: "ami-0123456789abcdef0".parse().unwrap(),
            pending: NOW,
        },
        key: Digest::of(key.as_bytes()),
        address: "192.0.2.7".into(),
        doubts: vec![],
        certificate_serial: "40".into(),
        certificate_expires: later(1_000_000),
        issuer: IssuerNumber::new(1),
    }
}

const A: &str = "i-0aaaaaaaaaaaaaaaa";
const B: &str = "i-0bbbbbbbbbbbbbbbb";

fn www() -> Role {
    "www".parse().unwrap()
}

async fn with_image() -> (Store, tempfile::TempDir) {
    let (store, dir) = store().await;
    let Document { account, region, image: id, .. } = arrival(A, "k").document;
    let image = ImageRecord { account, region, id, role: www(), adder: "ada".into(), added: NOW };
    assert!(store.add_image(&image).await.unwrap());
    (store, dir)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "whatever else it is, is wrong")]
fn waits(arrived: Arrived, why: &str) {
    match arrived {
        Arrived::Waiting(reasons) => {
            assert!(reasons.iter().any(|reason| reason.contains(why)), "{reasons:?}");
        }
        other => panic!("{other:?}"),
    }
}

async fn decide(store: &Store, arrival: &Arrival, decision: Decision, now: Timestamp) -> bool {
    let (host, key) = (&arrival.document.instance, &arrival.key);
    store.decide(host, key, &decision, "ada", now).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t071_of_a_hundred_at_once_with_different_keys_exactly_one_enrols() {
    let (store, _dir) = with_image().await;
    let mut tries = JoinSet::new();
    for number in 0..100 {
        let (store, arrival) = (store.clone(), arrival(A, &number.to_string()));
        tries.spawn(async move { store.arrive(&arrival, NOW).await.unwrap() });
    }
    let outcomes = tries.join_all().await;
    let enrolled = outcomes.iter().filter(|outcome| **outcome == Arrived::Enrolled(www())).count();
    assert_eq!(enrolled, 1);
    assert_eq!(store.hosts(None).await.unwrap().len(), 1);
    // And what is kept of the others is bounded.
    assert_eq!(store.pending().await.unwrap().len(), 3);
}

#[tokio::test]
async fn t066_the_same_instance_enrols_once_whatever_its_wrapper_looks_like() {
    let (store, _dir) = with_image().await;
    let first = arrival(A, "key");
    assert_eq!(store.arrive(&first, NOW).await.unwrap(), Arrived::Enrolled(www()));
    waits(store.arrive(&arrival(A, "other"), NOW).await.unwrap(), "enrolled already");
    // Nor does a record of the host that is gone let anybody in.
    sqlx::query("DELETE FROM hosts").execute(store.pool()).await.unwrap();
    waits(store.arrive(&arrival(A, "other"), NOW).await.unwrap(), "enrolled already");
    // An account and a region further the same id is another instance, with the same host id.
    let mut elsewhere = arrival(B, "key");
    assert_eq!(store.arrive(&elsewhere, NOW).await.unwrap(), Arrived::Enrolled(www()));
    elsewhere.document.region = "us-east-1".parse::<Region>().unwrap();
    waits(store.arrive(&elsewhere, NOW).await.unwrap(), "on record already");
}

#[tokio::test]
async fn t071_a_lost_reply_does_not_strand_an_instance() {
    let (store, _dir) = with_image().await;
    let first = arrival(A, "key");
    assert_eq!(store.arrive(&first, NOW).await.unwrap(), Arrived::Enrolled(www()));
    assert_eq!(store.arrive(&first, later(599)).await.unwrap(), Arrived::Again(www()));
    waits(store.arrive(&first, later(600)).await.unwrap(), "enrolled already");
}

#[tokio::test]
async fn t072_a_second_enrolment_is_let_in_by_an_approval_once() {
    let (store, _dir) = with_image().await;
    store.arrive(&arrival(A, "lost"), NOW).await.unwrap();
    let second = arrival(A, "new");
    waits(store.arrive(&second, later(3600)).await.unwrap(), "enrolled already");
    let pending = store.pending().await.unwrap();
    assert_eq!((pending.len(), &pending[0].key), (1, &second.key));

    assert!(decide(&store, &second, Decision::Approve(www()), later(3601)).await);
    // It is for this key alone.
    waits(store.arrive(&arrival(A, "another"), later(3602)).await.unwrap(), "enrolled already");
    assert_eq!(store.arrive(&second, later(3603)).await.unwrap(), Arrived::Enrolled(www()));
    let host = store.host(&second.document.instance).await.unwrap().unwrap();
    assert_eq!(host.key, second.key);
    // A lost reply, and then: used is used.
    assert_eq!(store.arrive(&second, later(3604)).await.unwrap(), Arrived::Again(www()));
    waits(store.arrive(&second, later(7200)).await.unwrap(), "enrolled already");
    waits(store.arrive(&arrival(A, "lost"), later(7200)).await.unwrap(), "enrolled already");
    // Nor does an approval bring a key back that was given up.
    assert!(decide(&store, &arrival(A, "lost"), Decision::Approve(www()), later(7201)).await);
    let again = store.arrive(&arrival(A, "lost"), later(7202)).await.unwrap();
    assert_eq!(again, Arrived::Denied);
}

#[tokio::test]
async fn t074_t076_without_an_image_on_record_an_operator_gives_the_role() {
    let (store, _dir) = store().await;
    let machine = arrival(A, "key");
    waits(store.arrive(&machine, NOW).await.unwrap(), "image is not on record");
    assert_eq!(store.pending().await.unwrap()[0].role, None);
    let db: Role = "db".parse().unwrap();
    assert!(decide(&store, &machine, Decision::Approve(db.clone()), NOW).await);
    assert_eq!(store.arrive(&machine, later(1)).await.unwrap(), Arrived::Enrolled(db));
}

#[tokio::test]
async fn who_is_denied_stays_out_until_somebody_approves() {
    let (store, _dir) = with_image().await;
    let mut machine = arrival(A, "key");
    machine.doubts = vec!["it looks odd".into()];
    waits(store.arrive(&machine, NOW).await.unwrap(), "looks odd");
    assert!(decide(&store, &machine, Decision::Deny, NOW).await);
    assert_eq!(store.arrive(&machine, later(1)).await.unwrap(), Arrived::Denied);
    assert!(store.pending().await.unwrap().is_empty());
    assert_eq!(store.undecided(&machine.document.instance).await.unwrap().len(), 1);
    assert!(decide(&store, &machine, Decision::Approve(www()), later(2)).await);
    assert_eq!(store.arrive(&machine, later(3)).await.unwrap(), Arrived::Enrolled(www()));
    assert!(!decide(&store, &machine, Decision::Deny, later(4)).await);
}

#[tokio::test]
async fn t080_no_key_of_before_is_a_sign_against_who_took_over() {
    let (store, _dir) = with_image().await;
    let (first, id): (_, HostId) = (arrival(A, "1"), A.parse().unwrap());
    store.arrive(&first, NOW).await.unwrap();
    let renewal = Renewal {
        host: id.clone(),
        presented: first.key,
        new: Digest::of(b"2"),
        certificate_serial: "41".into(),
        certificate_expires: later(1_000_000),
        issuer: IssuerNumber::new(1),
    };
    assert_eq!(store.renew(&renewal, later(1)).await.unwrap(), Renewed::Renewed);
    let next = arrival(A, "3");
    store.arrive(&next, later(2)).await.unwrap();
    assert!(decide(&store, &next, Decision::Approve(www()), later(3)).await);
    assert_eq!(store.arrive(&next, later(4)).await.unwrap(), Arrived::Enrolled(www()));
    for key in [first.key, renewal.new] {
        assert!(!store.is_conflict(&id, &key, later(5)).await.unwrap());
    }
    assert_eq!(store.host(&id).await.unwrap().unwrap().standing.conflict, None);
}

#[tokio::test]
async fn t072_who_is_denied_does_not_come_in_by_itself_when_its_doubts_are_gone() {
    let (store, _dir) = with_image().await;
    let mut machine = arrival(A, "key");
    machine.doubts = vec!["it looks odd".into()];
    store.arrive(&machine, NOW).await.unwrap();
    assert!(decide(&store, &machine, Decision::Deny, NOW).await);
    machine.doubts.clear();
    assert_eq!(store.arrive(&machine, later(1)).await.unwrap(), Arrived::Denied);
    // Nor with another key: that is for an operator to decide, who sees it.
    let other = arrival(A, "other");
    waits(store.arrive(&other, later(2)).await.unwrap(), "was denied");
    assert!(decide(&store, &other, Decision::Approve(www()), later(3)).await);
    assert_eq!(store.arrive(&other, later(4)).await.unwrap(), Arrived::Enrolled(www()));
    assert_eq!(store.arrive(&machine, later(5)).await.unwrap(), Arrived::Denied);
}

#[tokio::test]
async fn t072_who_asked_before_the_host_was_let_in_has_to_ask_again() {
    let (store, _dir) = with_image().await;
    let mut odd = arrival(A, "odd");
    odd.doubts = vec!["it looks odd".into()];
    waits(store.arrive(&odd, NOW).await.unwrap(), "looks odd");
    assert_eq!(store.arrive(&arrival(A, "key"), NOW).await.unwrap(), Arrived::Enrolled(www()));
    assert!(store.pending().await.unwrap().is_empty());
    for key in ["odd", "new"] {
        store.arrive(&arrival(A, key), later(1)).await.unwrap();
    }
    assert!(decide(&store, &arrival(A, "new"), Decision::Approve(www()), later(2)).await);
    store.arrive(&arrival(A, "new"), later(3)).await.unwrap();
    assert!(store.pending().await.unwrap().is_empty());
}

#[tokio::test]
async fn t072_an_approval_is_taken_back_until_its_machine_came() {
    let (store, _dir) = store().await;
    let (machine, id) = (arrival(A, "key"), A.parse().unwrap());
    store.arrive(&machine, NOW).await.unwrap();
    assert!(decide(&store, &machine, Decision::Approve(www()), NOW).await);
    assert!(store.undecided(&id).await.unwrap().is_empty());
    assert_eq!(store.deniable(&id).await.unwrap().len(), 1);
    assert!(decide(&store, &machine, Decision::Deny, later(1)).await);
    assert_eq!(store.arrive(&machine, later(2)).await.unwrap(), Arrived::Denied);
}

#[tokio::test]
async fn t082_what_was_approved_before_a_revocation_lets_nobody_back() {
    let (store, _dir) = with_image().await;
    let id: HostId = A.parse().unwrap();
    store.arrive(&arrival(A, "lost"), NOW).await.unwrap();
    let second = arrival(A, "new");
    for early in [1, 3] {
        waits(store.arrive(&second, later(early)).await.unwrap(), "enrolled already");
        assert!(decide(&store, &second, Decision::Approve(www()), later(early)).await);
        // Whoever revokes a host twice means what is approved by now.
        store.revoke(&id, "stolen", later(early + 1)).await.unwrap();
        assert!(store.deniable(&id).await.unwrap().is_empty());
    }
    waits(store.arrive(&second, later(5)).await.unwrap(), "enrolled already");
    assert!(store.host(&id).await.unwrap().unwrap().standing.revoked.is_some());
    assert!(decide(&store, &second, Decision::Approve(www()), later(6)).await);
    assert_eq!(store.arrive(&second, later(7)).await.unwrap(), Arrived::Enrolled(www()));
}

#[tokio::test]
async fn t082_an_approval_is_as_old_as_it_is_however_the_revocation_came() {
    let (store, _dir) = with_image().await;
    store.arrive(&arrival(A, "lost"), NOW).await.unwrap();
    let second = arrival(A, "new");
    store.arrive(&second, NOW).await.unwrap();
    assert!(decide(&store, &second, Decision::Approve(www()), NOW).await);
    let revoked = sqlx::query("UPDATE hosts SET revoked = $1").bind(later(1).as_micros());
    revoked.execute(store.pool()).await.unwrap();
    waits(store.arrive(&second, later(2)).await.unwrap(), "enrolled already");
}

#[tokio::test]
async fn an_approval_waits_for_a_day() {
    let (store, _dir) = store().await;
    let machine = arrival(A, "key");
    store.arrive(&machine, NOW).await.unwrap();
    decide(&store, &machine, Decision::Approve(www()), NOW).await;
    waits(store.arrive(&machine, later(24 * 3600)).await.unwrap(), "not on record");
}

#[tokio::test]
async fn t084_newer_keys_do_not_push_out_the_one_that_waits() {
    let (store, _dir) = store().await;
    for (number, key) in ["own", "2", "3"].into_iter().enumerate() {
        let at = later(number.try_into().unwrap());
        waits(store.arrive(&arrival(A, key), at).await.unwrap(), "not on record");
    }
    waits(store.arrive(&arrival(A, "4"), later(4)).await.unwrap(), "other keys wait");
    waits(store.arrive(&arrival(A, "own"), later(5)).await.unwrap(), "not on record");
    let pending = store.pending().await.unwrap();
    assert_eq!((pending.len(), &pending[0].key), (3, &arrival(A, "own").key));
    // Each makes room when it was decided about, or came no more for a week.
    assert!(decide(&store, &arrival(A, "2"), Decision::Deny, later(6)).await);
    waits(store.arrive(&arrival(A, "4"), later(7)).await.unwrap(), "not on record");
    waits(store.arrive(&arrival(A, "5"), later(8)).await.unwrap(), "other keys wait");
    waits(store.arrive(&arrival(A, "5"), later(700_000)).await.unwrap(), "not on record");
}

#[tokio::test]
async fn who_waits_is_bounded() {
    let (store, _dir) = store().await;
    for number in 0..1100_u64 {
        let machine = arrival(&format!("i-{number:017x}"), "key");
        store.arrive(&machine, later(number)).await.unwrap();
    }
    let pending = store.pending().await.unwrap();
    assert_eq!(pending.len(), 1000);
    assert_eq!(pending[0].asked, later(1099));
}
