//! A host whose certificate has expired, or is refused.

use std::time::Duration;

use floe_proto::renewal;
use floe_proto::transport::provider;
use rustls::pki_types::{SignatureVerificationAlgorithm, UnixTime};
use rustls::time_provider::TimeProvider;

use super::*;
use crate::identity::expired::LONGEST_WAIT;
use crate::testing::pass;

/// A clock that stands still.
#[derive(Debug)]
struct Still(Duration);

impl TimeProvider for Still {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0))
    }
}

const YEAR_2026: u64 = 1_767_225_600;

/// A host whose certificate ended so many days ago.
async fn expired_on(day: u64, failures: Vec<Status>) -> World {
    let mut world = world("www.fossable.org", failures).await;
    world.save("local-www-1", 2026);
    let now = Duration::from_secs(YEAR_2026 + day * 24 * 3600);
    world.terms.clock = Arc::new(Still(now));
    *world.authority.now.lock().unwrap() = now;
    world
}

#[tokio::test]
async fn t081_an_expired_certificate_is_renewed_by_proof_of_its_key_and_gets_another() {
    let lost = Status::unavailable("lost");
    let world = expired_on(29, vec![lost]).await;
    let old = world.on_disk().unwrap();
    let enrolled = obtain(&world.terms, Standing::Unknown).await;
    assert_eq!(enrolled.host.as_str(), "local-www-1");
    assert_ne!(enrolled.certificate.key, old.certificate.key, "a key of its own");
    let asked = world.renewed.lock().unwrap().pop().unwrap();
    let message = renewal::message(&world.terms.fleet, &asked.certificate_request);
    let key = old.key().unwrap();
    let proves = |algorithm: &&dyn SignatureVerificationAlgorithm| {
        let key = rcgen::PublicKeyData::der_bytes(&key);
        algorithm.verify_signature(key, &message, &asked.proof).is_ok()
    };
    let algorithms = provider().signature_verification_algorithms.all;
    assert!(algorithms.iter().any(proves), "signed with the old key");
    assert_eq!(asked.certificate, old.identity.chain[0].to_vec());
    let again = obtain(&world.terms, Standing::Unknown).await;
    assert_eq!(again.identity.chain, enrolled.identity.chain, "nobody was asked again");
}

#[tokio::test]
async fn t081_what_expired_long_ago_enrols_anew() {
    let mut world = expired_on(31, vec![]).await;
    world.join_with("floe-join-1");
    let enrolled = obtain(&world.terms, Standing::Unknown).await;
    assert_eq!(in_time(world.next_token()).await, "floe-join-1");
    assert!(world.renewed.lock().unwrap().is_empty());
    assert_eq!(world.on_disk().unwrap().certificate, enrolled.certificate);
}

#[tokio::test]
async fn t081_t082_who_is_not_renewed_waits_for_a_token_and_enrols_with_another_key() {
    let mut world = expired_on(1, vec![Status::permission_denied("revoked")]).await;
    let old = world.on_disk().unwrap();
    let terms = world.terms.clone();
    let mut enrolling = JoinSet::new();
    enrolling.spawn(async move { obtain(&terms, Standing::Unknown).await });
    world.join_with("floe-join-1");
    let enrolled = enrolling.join_next().await.unwrap().unwrap();
    assert_eq!(world.next_token().await, "floe-join-1");
    assert_ne!(enrolled.certificate.key, old.certificate.key);
}

/// Nobody comes to the machine, and by and by the control plane is mended.
#[tokio::test]
async fn t081_who_is_refused_asks_again_without_anybody_who_puts_a_token_there() {
    for refusal in [
        Status::unauthenticated("its clock was wrong"),
        Status::permission_denied("its database was restored"),
        Status::invalid_argument("it was another version"),
        Status::unimplemented("it was another version"),
    ] {
        let world = expired_on(1, vec![refusal.clone(), refusal]).await;
        let terms = world.terms.clone();
        let mut enrolling = JoinSet::new();
        enrolling.spawn(async move { obtain(&terms, Standing::Unknown).await });
        for _ in 0..50 {
            // Time stands still while somebody speaks.
            tokio::time::sleep(Duration::from_millis(200)).await;
            if !world.renewed.lock().unwrap().is_empty() {
                break;
            }
            pass(LONGEST_WAIT).await;
        }
        let enrolled = in_time(enrolling.join_next()).await.unwrap().unwrap();
        assert_eq!(world.renewed.lock().unwrap().len(), 1);
        assert_eq!(enrolled.certificate, world.on_disk().unwrap().certificate);
    }
}

#[tokio::test]
async fn t082_an_identity_that_was_refused_is_replaced_though_it_has_not_expired() {
    let mut world = world("www.fossable.org", vec![]).await;
    world.save("local-www-1", 2999);
    let old = world.on_disk().unwrap();
    world.join_with("floe-join-1");
    let kept = obtain(&world.terms, Standing::Unknown).await;
    assert_eq!(kept.certificate, old.certificate);
    assert!(world.has_join_file(), "it may be needed");
    let enrolled = obtain(&world.terms, Standing::Refused).await;
    assert_eq!(in_time(world.next_token()).await, "floe-join-1");
    assert_ne!(enrolled.certificate.key, old.certificate.key);
    assert!(!world.has_join_file());
}
