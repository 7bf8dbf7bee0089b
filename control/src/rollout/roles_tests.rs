//! A host that comes back as what it was not before.

use super::*;

fn db() -> Role {
    "db".parse().unwrap()
}

#[tokio::test]
async fn t087_what_a_host_reports_counts_for_its_role_now_and_no_other() {
    let (store, _dir) = store().await;
    let world = World::start(store).await;
    world.publish(1).await;
    world.publish_for(db(), Digest::of(b"db"), 1).await;
    world.hosts.connect("a", 1);
    world.hosts.connect("b", 2);
    let www = world.roll_out(1).await;
    world.hosts.told("a").await;

    // It enrolled anew: the canary of `www` is a host of `db` now.
    world.hosts.connect_as("a", db(), 3);
    assert_eq!(world.hosts.told("b").await.assignment.rollout, www.id);
    let first = Serial::FIRST;
    let of_db = world.rollouts.start(db(), Epoch::default(), first, false).await.unwrap();
    let told = world.hosts.0.orders.subscribe();
    let order = told.borrow()[&host("a")].clone().unwrap();
    assert_eq!((order.assignment.rollout, order.assignment.release.role), (of_db.id.clone(), db()));
    world.ends("a", "x-1", 1, Outcome::RolledBack).await;
    assert_eq!(world.standing(&of_db.id, "a").await, Standing::Ended(Outcome::RolledBack));

    // Nothing of that is the business of `www`, neither now nor after a restart.
    let world = world.restart().await;
    let left = world.rollouts.show(&www.id).await.unwrap().unwrap();
    assert_eq!(left.hosts.keys().collect::<Vec<_>>(), [&host("b")]);
    assert_eq!(left.state, State::Running);
    world.ends("b", "x-1", 1, Outcome::Confirmed).await;
    assert_eq!(world.rollouts.show(&www.id).await.unwrap().unwrap().state, State::Done);
}

#[tokio::test]
async fn what_a_host_ended_with_stays_where_it_ended() {
    let (store, _dir) = store().await;
    let world = World::start(store).await;
    world.publish(1).await;
    world.hosts.connect("a", 1);
    let www = world.roll_out(1).await;
    world.hosts.told("a").await;
    world.ends("a", "x-1", 1, Outcome::Failed).await;
    world.hosts.connect_as("a", db(), 2);
    // Anything that is stored after that shows that the turn is over.
    world.says("a", "x-2", Said::Wrote { phase: None, lines: vec!["line".into()] }).await;
    assert_eq!(world.standing(&www.id, "a").await, Standing::Ended(Outcome::Failed));
}
