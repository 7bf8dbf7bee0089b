//! A host whose certificate is good by its own clock, and that comes through to nobody.

use std::time::Duration;

use floe_proto::pb::{RenewReply, RenewRequest};
use tokio::sync::watch;

use super::*;
use crate::identity::renew::{Line, Lost, keep};
use crate::testing::pass;

/// A way to the control plane that is open or not.
struct Way {
    open: watch::Sender<bool>,
    taken: watch::Sender<Option<bool>>,
    told: watch::Sender<Option<Duration>>,
}

impl Way {
    fn new(open: bool) -> Self {
        let (taken, told) = (watch::Sender::new(None), watch::Sender::new(None));
        Self { open: watch::Sender::new(open), taken, told }
    }
}

impl Line for Way {
    async fn renew(&self, _: RenewRequest) -> Option<Result<RenewReply, Status>> {
        None
    }

    async fn stream(&self, open: bool) {
        let mut line = self.open.subscribe();
        line.wait_for(|line| *line == open).await.unwrap();
    }

    fn taken(&self) -> watch::Receiver<Option<bool>> {
        self.taken.subscribe()
    }

    fn told(&self) -> watch::Receiver<Option<Duration>> {
        self.told.subscribe()
    }
}

/// What becomes of the identity on the disk within an hour.
async fn after_an_hour(world: &World, way: &Way) -> Option<Lost> {
    let enrolled = world.on_disk().unwrap();
    let shown = watch::Sender::new(Arc::new(world.terms.tls(None).unwrap()));
    let passing = async {
        for _ in 0..12 {
            pass(Duration::from_secs(5 * 60)).await;
            // Time stands still while somebody speaks, also on a machine that has much to do:
            // a try that is cut short here is followed by another way.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::select! {
        lost = keep(&world.terms, &enrolled, way, &shown) => Some(lost),
        () = passing => None,
    }
}

async fn enrolled(failures: Vec<Status>) -> World {
    let world = world("www.fossable.org", failures).await;
    world.save("local-www-1", 2999);
    world
}

#[tokio::test]
async fn t085_who_comes_through_to_nobody_enrols_with_a_token_or_renews_by_proof_of_its_key() {
    for token in [true, false] {
        let mut world = enrolled(vec![]).await;
        let old = world.on_disk().unwrap().certificate;
        if token {
            world.join_with("floe-join-1");
        }
        assert_eq!(after_an_hour(&world, &Way::new(false)).await, Some(Lost::Followed));
        assert_ne!(world.on_disk().unwrap().certificate.key, old.key);
        assert_eq!(world.renewed.lock().unwrap().is_empty(), token);
        if token {
            assert_eq!(in_time(world.next_token()).await, "floe-join-1");
            assert!(!world.has_join_file());
        }
    }
}

#[tokio::test]
async fn what_is_refused_leaves_the_identity_of_before() {
    let refused = Status::unauthenticated("no");
    let world = enrolled(vec![refused; 100]).await;
    let old = world.on_disk().unwrap().certificate;
    world.join_with("floe-join-1");
    assert_eq!(after_an_hour(&world, &Way::new(false)).await, None);
    assert_eq!(world.on_disk().unwrap().certificate, old);
    assert!(world.has_join_file());
}

#[tokio::test]
async fn who_has_a_stream_or_is_refused_in_words_is_not_cut_off() {
    for open in [true, false] {
        let (world, way) = (enrolled(vec![]).await, Way::new(open));
        way.taken.send_replace(Some(open));
        assert_eq!(after_an_hour(&world, &way).await, None);
        assert!(world.renewed.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_token_for_somebody_else_is_not_used_by_who_is_cut_off() {
    let mut world = enrolled(vec![]).await;
    let join = world.state.path().join("join.toml");
    fs::write(join, "host = \"local-www-2\"\ntoken = \"floe-join-2\"\n").unwrap();
    assert_eq!(after_an_hour(&world, &Way::new(false)).await, Some(Lost::Followed));
    assert_eq!(world.on_disk().unwrap().host.as_str(), "local-www-1");
    assert!(world.asked.try_recv().is_err(), "by proof of its key alone");
}
