//! Certificates that are renewed in time, against a control plane that is played.

use std::fs;
use std::sync::Mutex;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

use super::*;
use crate::identity::Attestation;
use crate::testing::{Authority, in_time};

const START: i64 = 1_795_000_000;
const DAY: Duration = Duration::from_secs(24 * 3600);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((START + seconds) * 1_000_000)
}

/// A clock that tests set.
#[derive(Debug)]
struct Set(Mutex<i64>);

impl TimeProvider for Set {
    fn current_time(&self) -> Option<UnixTime> {
        let now = u64::try_from(START + *self.0.lock().unwrap()).unwrap();
        Some(UnixTime::since_unix_epoch(Duration::from_secs(now)))
    }
}

/// The control plane, as far as it renews.
struct Played {
    authority: Authority,
    /// Whom its certificates speak for.
    host: HostId,
    /// What it answers instead, the first at the end.
    failures: Mutex<Vec<Status>>,
    /// What it sends along with each certificate.
    issuers: Vec<Vec<u8>>,
    asked: Mutex<Vec<Vec<u8>>>,
    taken: watch::Sender<Option<bool>>,
    told: watch::Sender<Option<Duration>>,
}

impl Line for Played {
    async fn renew(&self, request: RenewRequest) -> Option<Result<RenewReply, Status>> {
        let certificate = self.authority.sign(&request.certificate_request, &self.host);
        self.asked.lock().unwrap().push(request.certificate_request);
        Some(match self.failures.lock().unwrap().pop() {
            Some(status) => Err(status),
            None => Ok(RenewReply { certificate, issuers: self.issuers.clone() }),
        })
    }

    /// There is one all the time.
    async fn stream(&self, open: bool) {
        if !open {
            std::future::pending::<()>().await;
        }
    }

    fn taken(&self) -> watch::Receiver<Option<bool>> {
        self.taken.subscribe()
    }

    fn told(&self) -> watch::Receiver<Option<Duration>> {
        self.told.subscribe()
    }
}

struct World {
    terms: Terms,
    clock: Arc<Set>,
    line: Played,
    store: Store,
    shown: watch::Sender<Arc<ClientConfig>>,
    state: tempfile::TempDir,
}

impl World {
    fn new(failures: Vec<Status>) -> Self {
        let (state, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        *authority.now.lock().unwrap() = Duration::from_secs(START.unsigned_abs());
        let clock = Arc::new(Set(Mutex::new(0)));
        let terms = Terms {
            fleet: "fossable.org".parse().unwrap(),
            role: "www.fossable.org".parse().unwrap(),
            attestation: Attestation::Token,
            control_plane: "https://localhost:1".to_owned(),
            ca: vec![authority.ca.clone()],
            state_directory: state.path().to_owned(),
            clock: clock.clone(),
        };
        let (store, host) = (Store::new(state.path()), "local-a".parse().unwrap());
        let leaf = authority.sign(&request(&store.key().unwrap()).unwrap(), &host);
        store.save(&host, &[leaf.into()]).unwrap();
        let shown = watch::Sender::new(Arc::new(terms.tls(None).unwrap()));
        let (taken, told) = (watch::Sender::new(None), watch::Sender::new(None));
        let (failures, asked) = (Mutex::new(failures), Mutex::default());
        let line = Played { authority, host, failures, issuers: vec![], asked, taken, told };
        Self { terms, clock, line, store, shown, state }
    }

    fn on_disk(&self) -> Enrolled {
        self.store.load().unwrap().unwrap()
    }

    /// Renews now, because it is told to, and returns once that is shown.
    async fn renewed(&self) {
        let (enrolled, mut shown) = (self.on_disk(), self.shown.subscribe());
        let telling = async {
            while self.line.told.receiver_count() < 1 {
                tokio::task::yield_now().await;
            }
            self.line.told.send_replace(Some(Duration::ZERO));
            shown.changed().await.unwrap();
        };
        tokio::select! {
            lost = keep(&self.terms, &enrolled, &self.line, &self.shown) => panic!("{lost:?}"),
            () = telling => {}
        }
    }

    fn requests(&self) -> Vec<Vec<u8>> {
        let asked = self.line.asked.lock().unwrap();
        let key = |der: &Vec<u8>| {
            let request =
                rcgen::CertificateSigningRequestParams::from_der(&der.as_slice().into()).unwrap();
            rcgen::PublicKeyData::der_bytes(&request.public_key).to_vec()
        };
        asked.iter().map(key).collect()
    }
}

fn certificate(begin: i64, end: i64) -> Certificate {
    let world = World::new(vec![]);
    Certificate { not_before: at(begin), not_after: at(end), ..world.on_disk().certificate }
}

#[test]
fn it_is_renewed_at_half_of_its_life_give_or_take_a_tenth() {
    let day = i64::try_from(DAY.as_secs()).unwrap();
    let fresh = certificate(0, day);
    assert_eq!(due(&fresh, None, 0), at(day * 45 / 100));
    assert_eq!(due(&fresh, None, 500), at(day / 2));
    assert_eq!(due(&fresh, None, 1000), at(day * 55 / 100));
    // It began an hour before it was made; a clock that was wrong then says nothing.
    assert_eq!(due(&fresh, Some(at(3600)), 500), at(3600 + (day - 3600) / 2));
    for wrong in [-1, day] {
        assert_eq!(due(&fresh, Some(at(wrong)), 500), at(day / 2));
    }
}

#[tokio::test]
async fn t080_it_is_renewed_with_another_key_and_shown_at_once() {
    let world = World::new(vec![]);
    let before = world.on_disk().certificate;
    world.renewed().await;
    let after = world.on_disk().certificate;
    assert_ne!(before.key, after.key);
    assert_eq!(before.id, after.id);
    world.renewed().await;
    let keys = world.requests();
    assert_ne!(keys[0], keys[1], "a new one each time");
}

#[tokio::test]
async fn a_lost_reply_is_asked_for_again_with_the_same_new_key() {
    let world = World::new(vec![Status::unavailable("lost"), Status::unavailable("lost")]);
    for works in [false, false, true] {
        let asked = once(&world.terms, &world.store, &itself(), &world.line).await;
        assert_eq!(asked.is_ok(), works);
    }
    let keys = world.requests();
    assert_eq!(keys.len(), 3);
    assert!(keys[0] == keys[1] && keys[1] == keys[2]);
}

#[tokio::test]
async fn t077_a_certificate_that_does_not_speak_for_this_host_is_not_stored() {
    let mut world = World::new(vec![]);
    let before = world.on_disk().certificate;
    world.line.host = "local-b".parse().unwrap();
    let refused = once(&world.terms, &world.store, &itself(), &world.line).await;
    assert!(matches!(refused, Err(Error::Unusable)));
    let strangers = Authority::new();
    world.line.host = itself();
    world.line.authority = strangers;
    let refused = once(&world.terms, &world.store, &itself(), &world.line).await;
    assert!(matches!(refused, Err(Error::Certificate(_))));
    assert_eq!(world.on_disk().certificate, before);
}

#[tokio::test]
async fn t081_a_certificate_that_would_never_end_is_not_stored() {
    let world = World::new(vec![]);
    let (key, host) = (world.store.key().unwrap(), itself());
    let asked = request(&key).unwrap();
    let accepts = |leaf| accept(&world.terms, &host, &key, leaf, vec![]);
    let endless = world.line.authority.sign_until(&asked, &host, 2999);
    assert!(matches!(accepts(endless), Err(Error::Endless)));
    assert!(accepts(world.line.authority.sign(&asked, &host)).is_ok());
}

/// TLS looks at those issuers only that it needs, and would never see these.
#[tokio::test]
async fn t077_what_could_not_be_read_again_after_a_restart_is_not_stored() {
    let mut world = World::new(vec![]);
    let before = world.on_disk().certificate;
    let ca = world.line.authority.ca.to_vec();
    for issuer in [b"junk".to_vec(), ca.repeat(2), [ca, b"junk".to_vec()].concat()] {
        world.line.issuers = vec![issuer];
        let refused = once(&world.terms, &world.store, &itself(), &world.line).await;
        assert!(matches!(refused, Err(Error::Unreadable)));
        assert_eq!(world.on_disk().certificate, before);
    }
}

fn itself() -> HostId {
    "local-a".parse().unwrap()
}

#[tokio::test]
async fn a_key_that_the_control_plane_will_not_certify_is_not_asked_for_twice() {
    let world = World::new(vec![Status::invalid_argument("the key that the host has")]);
    let host = itself();
    assert!(once(&world.terms, &world.store, &host, &world.line).await.is_err());
    assert!(once(&world.terms, &world.store, &host, &world.line).await.is_ok());
    let keys = world.requests();
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test]
async fn t081_a_certificate_that_ends_is_lost_and_said_so() {
    let world = World::new(vec![Status::unavailable("away"); 3]);
    let mut enrolled = world.on_disk();
    enrolled.certificate.not_after = at(100);
    *world.clock.0.lock().unwrap() = 100;
    let lost = in_time(keep(&world.terms, &enrolled, &world.line, &world.shown)).await;
    assert_eq!(lost, Lost::Expired);
}

#[tokio::test]
async fn t082_who_is_refused_is_replaced_once_there_is_a_token() {
    let world = World::new(vec![]);
    let (enrolled, join) = (world.on_disk(), world.state.path().join("join.toml"));
    fs::write(&join, "for whoever was here before").unwrap();
    world.line.taken.send_replace(Some(true));
    let mut keeping = Box::pin(keep(&world.terms, &enrolled, &world.line, &world.shown));
    let gone = async {
        while join.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        lost = &mut keeping => panic!("{lost:?}"),
        () = gone => {}
    }
    world.line.taken.send_replace(Some(false));
    let written = async {
        fs::write(&join, "a new one").unwrap();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        lost = &mut keeping => assert_eq!(lost, Lost::Replaced),
        () = written => {}
    }
    assert!(join.exists(), "it is to be used");
}
