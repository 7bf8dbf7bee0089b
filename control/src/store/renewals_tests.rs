//! Keys that follow each other, and those that come back.

use tokio::task::JoinSet;

use super::super::pool::tests::store;
use super::super::{Redeemed, Redemption, TokenRecord};
use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

fn host() -> HostId {
    "local-a".parse().unwrap()
}

fn after(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

async fn token(store: &Store, text: &[u8], host: Option<HostId>, created: Timestamp) {
    let (digest, role) = (Digest::of(text), "www".parse().unwrap());
    let (creator, expires) = ("ada".into(), created.after(Duration::from_secs(600)));
    let token = TokenRecord { digest, role, host, adopts: false, creator, created, expires };
    store.add_token(&token).await.unwrap();
}

async fn redeem(store: &Store, token: &[u8], key: &[u8], now: Timestamp) -> Redeemed {
    let attempt = Redemption {
        token: Digest::of(token),
        host: host(),
        key: Digest::of(key),
        certificate_serial: "40".into(),
        certificate_expires: now.after(Duration::from_secs(86_400)),
        issuer: IssuerNumber::new(1),
    };
    store.redeem(&attempt, now).await.unwrap()
}

async fn enrolled(store: &Store) {
    token(store, b"token", None, NOW).await;
    redeem(store, b"token", b"1", NOW).await;
}

async fn renew(store: &Store, presented: &[u8], new: &[u8], now: Timestamp) -> Renewed {
    let renewal = Renewal {
        host: host(),
        presented: Digest::of(presented),
        new: Digest::of(new),
        certificate_serial: "41".into(),
        certificate_expires: now.after(Duration::from_secs(86_400)),
        issuer: IssuerNumber::new(2),
    };
    store.renew(&renewal, now).await.unwrap()
}

async fn standing(store: &Store) -> Standing {
    store.host(&host()).await.unwrap().unwrap().standing
}

#[tokio::test]
async fn a_renewal_swaps_the_key_and_remembers_the_one_before() {
    let (store, _dir) = store().await;
    assert_eq!(renew(&store, b"1", b"2", NOW).await, Renewed::Unknown);
    enrolled(&store).await;
    assert_eq!(renew(&store, b"1", b"1", NOW).await, Renewed::SameKey);
    assert_eq!(renew(&store, b"1", b"2", after(5)).await, Renewed::Renewed);
    let record = store.host(&host()).await.unwrap().unwrap();
    assert_eq!(record.key, Digest::of(b"2"));
    assert_eq!(
        record.standing,
        Standing {
            generation: 2,
            issuer: IssuerNumber::new(2),
            expires: after(5).after(Duration::from_secs(86_400)),
            previous_key: Some(Digest::of(b"1")),
            renewed: Some(after(5)),
            key_used: false,
            revoked: None,
            conflict: None,
        }
    );
    store.key_is_used(&host(), &Digest::of(b"1")).await.unwrap();
    assert!(!standing(&store).await.key_used);
    store.key_is_used(&host(), &Digest::of(b"2")).await.unwrap();
    assert!(standing(&store).await.key_used);
}

#[tokio::test]
async fn t080_a_lost_reply_is_answered_again_and_is_no_second_machine() {
    let (store, _dir) = store().await;
    enrolled(&store).await;
    assert_eq!(renew(&store, b"1", b"2", NOW).await, Renewed::Renewed);
    // However long it takes, as the new key was never used; once it was, ten minutes.
    assert_eq!(renew(&store, b"1", b"2", after(9000)).await, Renewed::Again);
    store.key_is_used(&host(), &Digest::of(b"2")).await.unwrap();
    assert_eq!(renew(&store, b"1", b"2", after(599)).await, Renewed::Again);
    let standing_now = standing(&store).await;
    assert_eq!((standing_now.generation, standing_now.conflict), (2, None));
    assert_eq!(renew(&store, b"1", b"2", after(600)).await, Renewed::Conflict);
}

#[tokio::test]
async fn t080_a_stolen_key_that_renews_first_leaves_a_conflict_when_the_host_does() {
    let (store, _dir) = store().await;
    enrolled(&store).await;
    assert_eq!(renew(&store, b"1", b"thief", NOW).await, Renewed::Renewed);
    assert_eq!(renew(&store, b"1", b"2", after(1)).await, Renewed::Conflict);
    let (since, reason) = standing(&store).await.conflict.unwrap();
    assert_eq!(since, after(1));
    assert!(reason.contains("replaced"), "{reason}");
    // The first sign is the one that is kept.
    assert_eq!(renew(&store, b"1", b"3", after(2)).await, Renewed::Conflict);
    assert_eq!(standing(&store).await.conflict.unwrap().0, after(1));
    assert_eq!(store.resolve_conflict(&host()).await.unwrap(), Some(true));
    assert_eq!(store.resolve_conflict(&host()).await.unwrap(), Some(false));
    assert_eq!(store.resolve_conflict(&"local-b".parse().unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn t080_an_old_key_that_calls_is_a_sign_and_one_that_never_was_is_none() {
    let (store, _dir) = store().await;
    enrolled(&store).await;
    renew(&store, b"1", b"2", NOW).await;
    renew(&store, b"2", b"3", after(60)).await;
    assert!(!store.is_conflict(&host(), &Digest::of(b"never"), NOW).await.unwrap());
    assert_eq!(standing(&store).await.conflict, None);
    assert!(store.is_conflict(&host(), &Digest::of(b"1"), NOW).await.unwrap());
    assert!(standing(&store).await.conflict.is_some());
}

#[tokio::test]
async fn t080_a_host_has_left_its_key_a_minute_after_it_renewed_and_used_the_next() {
    let (store, _dir) = store().await;
    enrolled(&store).await;
    assert!(!standing(&store).await.has_left_its_key(after(9000)));
    renew(&store, b"1", b"2", NOW).await;
    // The reply may be lost: it has no other.
    assert!(!standing(&store).await.has_left_its_key(after(9000)));
    store.key_is_used(&host(), &Digest::of(b"2")).await.unwrap();
    assert!(!standing(&store).await.has_left_its_key(after(59)));
    assert!(standing(&store).await.has_left_its_key(after(60)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t080_of_many_renewals_at_once_one_wins() {
    let (store, _dir) = store().await;
    enrolled(&store).await;
    let mut tries = JoinSet::new();
    for number in 0..50_u8 {
        let store = store.clone();
        tries.spawn(async move { renew(&store, b"1", &[number], NOW).await });
    }
    let outcomes = tries.join_all().await;
    let renewed = outcomes.iter().filter(|outcome| **outcome == Renewed::Renewed).count();
    assert_eq!(renewed, 1);
    assert_eq!(standing(&store).await.generation, 2);
}

#[tokio::test]
async fn t095_one_host_cannot_fill_the_disk_with_its_keys() {
    let (store, _dir) = store().await;
    enrolled(&store).await;
    assert_eq!(renew(&store, b"1", b"2", NOW).await, Renewed::Renewed);
    assert_eq!(renew(&store, b"2", b"3", after(59)).await, Renewed::TooSoon);
    // A reply that was lost is no renewal of its own, and the next is in time.
    assert_eq!(renew(&store, b"1", b"2", after(59)).await, Renewed::Again);
    assert_eq!(renew(&store, b"2", b"3", after(60)).await, Renewed::Renewed);
}

#[tokio::test]
async fn t082_a_revoked_host_is_refused_with_every_key_it_ever_had() {
    let (store, _dir) = store().await;
    enrolled(&store).await;
    renew(&store, b"1", b"2", NOW).await;
    assert_eq!(store.revoke(&host(), "stolen", after(5)).await.unwrap(), Some(after(5)));
    // Again changes nothing.
    assert_eq!(store.revoke(&host(), "again", after(6)).await.unwrap(), Some(after(5)));
    for key in [b"1", b"2"] {
        assert_eq!(renew(&store, key, b"3", after(7)).await, Renewed::Revoked);
    }
    assert_eq!(standing(&store).await.revoked, Some((after(5), "stolen".into())));
    let nobody = store.revoke(&"local-b".parse().unwrap(), "", NOW).await.unwrap();
    assert_eq!(nobody, None);
}

#[tokio::test]
async fn t082_only_a_later_token_for_exactly_that_host_lets_it_back() {
    let (store, _dir) = store().await;
    enrolled(&store).await;
    renew(&store, b"1", b"2", NOW).await;
    token(&store, b"older", Some(host()), after(4)).await;
    token(&store, b"early", Some(host()), after(5)).await;
    assert_eq!(redeem(&store, b"early", b"4", after(5)).await, Redeemed::OtherKey);
    store.revoke(&host(), "stolen", after(5)).await.unwrap();
    token(&store, b"any", None, after(6)).await;
    token(&store, b"exact", Some(host()), after(6)).await;
    for (token, key) in [(&b"any"[..], b"4"), (b"older", b"4"), (b"exact", b"2")] {
        let refused = redeem(&store, token, key, after(7)).await;
        assert_eq!(refused, Redeemed::OtherKey, "{token:?} {key:?}");
    }
    let back = redeem(&store, b"exact", b"4", after(7)).await;
    assert_eq!(back, Redeemed::Enrolled("www".parse().unwrap()));
    let standing_now = standing(&store).await;
    assert_eq!((standing_now.revoked, standing_now.generation), (None, 3));
    assert_eq!(standing_now.previous_key, None);
    // Who stole the old keys learns nothing, and does the machine no harm.
    for key in [b"1", b"2"] {
        assert_eq!(renew(&store, key, b"5", after(8)).await, Renewed::Revoked);
        assert!(!store.is_conflict(&host(), &Digest::of(key), after(8)).await.unwrap());
    }
    assert_eq!(standing(&store).await.conflict, None);
    assert_eq!(renew(&store, b"4", b"5", after(9)).await, Renewed::Renewed);
}

#[tokio::test]
async fn t080_a_renewal_that_may_be_lost_leaves_the_host_with_the_issuer_before() {
    let (store, _dir) = store().await;
    enrolled(&store).await;
    renew(&store, b"1", b"2", NOW).await;
    let (old, new) = (IssuerNumber::new(1), IssuerNumber::new(2));
    let held = store.certificates(NOW).await.unwrap();
    assert_eq!(held, [(old, (1, 0)), (new, (1, 0))].into());
    store.key_is_used(&host(), &Digest::of(b"2")).await.unwrap();
    assert_eq!(store.certificates(NOW).await.unwrap(), [(new, (1, 0))].into());
}
