//! The line of trust roots, over a real store.

use super::super::testing::{root, signed};
use super::*;
use crate::clock;
use crate::store::Store;

type Refused = Error<crate::store::Error>;

async fn store() -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Store::open(&dir.path().join("floe.sqlite")).await.unwrap(), dir)
}

async fn open(store: &Store, file: &[u8]) -> Result<Roots, Refused> {
    Roots::open(store, &"fossable.org".parse().unwrap(), file, clock::now()).await
}

async fn publish(roots: &Roots, store: &Store, envelope: Vec<u8>) -> Result<u32, Refused> {
    let published = roots.publish(store, envelope, "ada".into(), clock::now()).await?;
    Ok(published.root.version)
}

/// Version 1 of root key 1 and release key 2.
fn first() -> Vec<u8> {
    signed(&root(1, &[1], &[2]), &[1])
}

#[tokio::test]
async fn the_file_begins_the_line_and_every_version_survives_a_restart() {
    let (store, _dir) = store().await;
    let roots = open(&store, &first()).await.unwrap();
    assert_eq!(roots.newest().root.version, 1);
    assert_eq!(publish(&roots, &store, signed(&root(2, &[3], &[2]), &[1, 3])).await.unwrap(), 2);
    assert_eq!(publish(&roots, &store, signed(&root(3, &[3], &[4]), &[3])).await.unwrap(), 3);

    // The file is still the first version: the one on record wins.
    let roots = open(&store, &first()).await.unwrap();
    assert_eq!(roots.newest().root.version, 3);
    assert_eq!(roots.newest().record.publisher, "ada");
    let above = |version| roots.after(version).iter().map(|v| v.root.version).collect::<Vec<_>>();
    assert_eq!((above(0), above(1), above(3)), (vec![1, 2, 3], vec![2, 3], vec![]));
    assert_eq!(roots.next(1).unwrap().root.version, 2);
    assert!(roots.next(3).is_none() && roots.next(u32::MAX).is_none());
}

#[tokio::test]
async fn the_file_is_taken_up_where_it_is_the_direct_successor() {
    let (store, _dir) = store().await;
    open(&store, &first()).await.unwrap();
    let second = signed(&root(2, &[1], &[4]), &[1]);
    assert_eq!(open(&store, &second).await.unwrap().newest().root.version, 2);
    let far = signed(&root(4, &[1], &[4]), &[1]);
    let refused = open(&store, &far).await.unwrap_err();
    assert!(matches!(&refused, Refused::Refused(verify::Error::NotTheNext { ours: 2, theirs: 4 })));
}

#[tokio::test]
async fn t013_t014_only_the_next_version_signed_by_both_roots_is_published() {
    let (store, _dir) = store().await;
    let roots = open(&store, &first()).await.unwrap();
    for (envelope, why) in [
        (signed(&root(3, &[1], &[2]), &[1]), "skips a version"),
        (signed(&root(2, &[3], &[2]), &[1]), "is signed by the old only"),
        (signed(&root(2, &[3], &[2]), &[3]), "is signed by the new only"),
        (signed(&root(2, &[1], &[2]), &[2]), "is signed by a release key"),
        (b"{}".to_vec(), "is no envelope"),
    ] {
        let refused = publish(&roots, &store, envelope).await;
        assert!(matches!(refused, Err(Refused::Refused(_))), "{why}: {refused:?}");
    }
    // T016: nothing of that stays, and the next good one is taken.
    assert_eq!(store.roots().await.unwrap().len(), 1);
    assert_eq!(publish(&roots, &store, signed(&root(2, &[3], &[2]), &[1, 3])).await.unwrap(), 2);
}

#[tokio::test]
async fn the_same_version_again_is_no_error_and_another_is() {
    let (store, _dir) = store().await;
    let roots = open(&store, &first()).await.unwrap();
    let second = signed(&root(2, &[1], &[2, 4]), &[1]);
    publish(&roots, &store, second.clone()).await.unwrap();
    assert_eq!(publish(&roots, &store, second).await.unwrap(), 2);
    assert_eq!(roots.newest().root.version, 2);
    let other = signed(&root(2, &[1], &[5]), &[1]);
    assert!(publish(&roots, &store, other.clone()).await.is_err());
    let forked = open(&store, &other).await.unwrap_err();
    assert!(matches!(forked, Refused::Forked { version: 2 }), "{forked}");
}

#[tokio::test]
async fn another_control_plane_on_the_same_records_cannot_fork_the_line() {
    let (store, _dir) = store().await;
    let (ours, theirs) = (open(&store, &first()).await.unwrap(), open(&store, &first()).await);
    publish(&ours, &store, signed(&root(2, &[1], &[2, 4]), &[1])).await.unwrap();
    let late = publish(&theirs.unwrap(), &store, signed(&root(2, &[1], &[5]), &[1])).await;
    assert!(matches!(late, Err(Refused::Forked { version: 2 })), "{late:?}");
}

#[tokio::test]
async fn t013_what_somebody_wrote_into_the_records_is_not_believed() {
    let (store, _dir) = store().await;
    open(&store, &first()).await.unwrap();
    let forged = root(2, &[9], &[9]);
    let record = RootRecord {
        version: 2,
        digest: Digest::of(b"x"),
        envelope: signed(&forged, &[9]),
        publisher: "eve".into(),
        published: clock::now(),
    };
    assert!(store.add_root(&record).await.unwrap());
    let refused = open(&store, &first()).await.unwrap_err();
    assert!(matches!(refused, Refused::Record { version: 2, .. }), "{refused}");
}

#[tokio::test]
async fn t017_an_expired_trust_root_is_still_followed_to_its_successor() {
    let (store, _dir) = store().await;
    let mut expired = root(1, &[1], &[2]);
    expired.expires = "2020-01-01T00:00:00Z".parse().unwrap();
    let roots = open(&store, &signed(&expired, &[1])).await.unwrap();
    assert_eq!(publish(&roots, &store, signed(&root(2, &[1], &[2]), &[1])).await.unwrap(), 2);
}
