//! What counts as an expired certificate of ours, and what does not.

use rcgen::{CertificateParams, KeyPair, SigningKey as _};

use super::super::ca::{Authority, Issued, RequestedKey};
use super::super::issuers::IssuerNumber;
use super::*;
use crate::clock;

const DAY: Duration = Duration::from_secs(24 * 3600);
const RENEWABLE: Duration = Duration::from_secs(30 * 24 * 3600);

struct World {
    authority: Authority,
    fleet: Fleet,
    old: KeyPair,
    issued: Issued,
    request: Vec<u8>,
    _dir: tempfile::TempDir,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let fleet: Fleet = "fossable.org".parse().unwrap();
    let authority = Authority::open(dir.path(), &fleet, clock::now()).unwrap();
    let (old, new) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let request =
        |key: &KeyPair| CertificateParams::default().serialize_request(key).unwrap().der().to_vec();
    let key = RequestedKey::from_request(&request(&old)).unwrap();
    let issued = authority.issue_host(&"local-a".parse().unwrap(), &key, clock::now()).unwrap();
    World { authority, fleet, old, issued, request: request(&new), _dir: dir }
}

impl World {
    fn proof(&self) -> Vec<u8> {
        self.old.sign(&renewal::message(&self.fleet, &self.request)).unwrap()
    }

    fn check(&self, proof: &[u8], after: Duration) -> Result<(), Error> {
        let certificate = &self.issued.certificate;
        let evidence = Evidence { certificate, request: &self.request, proof };
        let issuers = self.authority.issuers().borrow().clone();
        evidence.check(&issuers, &self.fleet, RENEWABLE, self.issued.expires.after(after))
    }
}

#[test]
fn t081_a_host_that_was_off_for_days_proves_its_key() {
    let world = world();
    assert_eq!(world.check(&world.proof(), 3 * DAY), Ok(()));
    assert_eq!(world.check(&world.proof(), 29 * DAY), Ok(()));
    assert_eq!(world.check(&world.proof(), 31 * DAY), Err(Error::TooLate));
}

#[test]
fn t081_who_does_not_hold_the_key_proves_nothing() {
    let mut world = world();
    let good = world.proof();
    for proof in [&[][..], &good[..good.len() - 1]] {
        assert_eq!(world.check(proof, DAY), Err(Error::Unproven));
    }
    let other = KeyPair::generate().unwrap();
    let theirs = other.sign(&renewal::message(&world.fleet, &world.request)).unwrap();
    assert_eq!(world.check(&theirs, DAY), Err(Error::Unproven));
    // A proof for one request is none for another.
    world.request.push(0);
    assert_eq!(world.check(&good, DAY), Err(Error::Unproven));
}

#[test]
fn t081_a_certificate_of_another_ca_or_of_a_retired_issuer_is_none() {
    let (mut ours, theirs) = (world(), world());
    let proof = ours.proof();
    ours.authority.rotate(clock::now()).unwrap();
    assert_eq!(ours.check(&proof, DAY), Ok(()));
    ours.authority.retire(IssuerNumber::new(1), clock::now()).unwrap();
    assert_eq!(ours.check(&proof, DAY), Err(Error::NotOurs));
    ours.authority = theirs.authority;
    assert_eq!(ours.check(&proof, DAY), Err(Error::NotOurs));
}

#[test]
fn t081_what_was_never_good_for_a_client_is_not_renewed() {
    let mut world = world();
    let control = world.authority.issue_control(&[], clock::now()).unwrap().identity();
    world.issued.certificate = control.chain.first().unwrap().clone();
    assert_eq!(world.check(&world.proof(), Duration::ZERO), Err(Error::NotOurs));
}
