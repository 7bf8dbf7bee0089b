//! The secrets' part of a host's stream.

use floe_proto::sealed::{self as seals, Who};

use super::*;
use crate::session::sealed::Published;

/// Publishes `plain` as the secrets of the role, sealed to the escrow alone.
async fn publish_secrets(world: &World, serial: u64, plain: &[u8]) {
    let (fleet, role) = ("fossable.org".parse().unwrap(), "www".parse().unwrap());
    let to = seals::Recipient { fleet: &fleet, role: &role, who: Who::Escrow };
    let escrow = seals::seal(plain, &world.sealed.escrow_key().unwrap(), to).unwrap();
    let set = Published {
        role,
        number: (Epoch::default(), serial.try_into().unwrap()),
        escrow: Some(escrow),
        count: 1,
        publisher: "ada".into(),
        published: crate::clock::now(),
    };
    assert!(world.store.publish_secrets(&set, &[]).await.unwrap());
    world.sealed.are_published();
}

#[tokio::test]
async fn secrets_come_before_any_order_and_by_the_escrow_to_who_comes_later() {
    let world = World::start().await;
    publish_secrets(&world, 4, b"signed").await;
    let rollout = world.roll_out().await;
    let key = OpeningKey::generate().unwrap();
    let hello = |held| pb::Hello {
        sealing_key: key.public().as_bytes().to_vec(),
        secrets: held,
        ..Default::default()
    };
    let mut agent = world.greet("local-a", hello(None)).await;
    let Ok(to_agent::Message::Secrets(secrets)) = agent.hear().await else {
        panic!("secrets were due")
    };
    let (fleet, role) = ("fossable.org".parse().unwrap(), "www".parse().unwrap());
    let host = "local-a".parse().unwrap();
    let to = seals::Recipient { fleet: &fleet, role: &role, who: Who::Host(&host) };
    assert_eq!(seals::open(&secrets.sealed, &key, to).unwrap().as_slice(), b"signed");
    let next = agent.hear().await.unwrap();
    assert!(matches!(next, to_agent::Message::Assignment(a) if a.rollout == rollout.id.as_str()));

    let held = Some(pb::SecretsHeld { epoch: 0, serial: 4 });
    let placed = pb::SecretsPlaced { held, problem: "\u{1b}no".into() };
    agent.say(from_agent::Message::SecretsPlaced(placed)).await;
    agent.report(pb::Outcome::Confirmed).await;
    assert!(matches!(agent.hear().await, Ok(to_agent::Message::ReportReceived(_))));
    let said = world.store.says(&host).await.unwrap().unwrap();
    assert_eq!((said.held.unwrap().1.get(), said.problem.as_str()), (4, "\\u{1b}no"));

    // Who has them gets none, until newer ones are published.
    drop(agent);
    let mut agent = world.greet("local-a", hello(held)).await;
    publish_secrets(&world, 5, b"newer").await;
    let Ok(to_agent::Message::Secrets(secrets)) = agent.hear().await else {
        panic!("newer secrets were due")
    };
    assert_eq!(seals::open(&secrets.sealed, &key, to).unwrap().as_slice(), b"newer");
}

#[tokio::test]
async fn a_host_whose_identity_two_machines_have_gets_no_secrets() {
    let world = World::start().await;
    publish_secrets(&world, 1, b"signed").await;
    world.sessions.quarantine(&"local-a".parse().unwrap());
    let key = OpeningKey::generate().unwrap().public();
    let hello = pb::Hello { sealing_key: key.as_bytes().to_vec(), ..Default::default() };
    let mut agent = world.greet("local-a", hello).await;
    agent.report(pb::Outcome::Failed).await;
    assert!(matches!(agent.hear().await, Ok(to_agent::Message::ReportReceived(_))));
}
