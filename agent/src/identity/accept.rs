//! What is asked of the control plane, and what of its answer is believed.
//!
//! Whatever is accepted here is of use: this host can show it, and can read it again
//! after a restart. What is stored without that would lock the host out, and nobody
//! could come to mend it.

use std::time::Duration;

use floe_proto::certificate::{Certificate, MAX_CHAIN};
use floe_proto::id::HostId;
use floe_proto::spiffe::{SpiffeId, Subject};
use floe_proto::transport::{self, Identity};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::enrol::Terms;
use super::failure::Error;
use super::store;

/// A control plane gives 90 days at most. What ends so late that a host would never ask for
/// another one is refused: where its key is not taken any more, its end is the last way out.
const LONGEST_LIFE: Duration = Duration::from_secs(100 * 24 * 3600);

/// Asks for a certificate of `key`, PKCS#10, DER.
pub(super) fn request(key: &KeyPair) -> Result<Vec<u8>, Error> {
    let request = CertificateParams::default().serialize_request(key).map_err(Error::Request)?;
    Ok(request.der().to_vec())
}

/// Believes a certificate only if this host can show it: of its key, of its name, and of
/// the CA that it pins; and if its issuers, of which only those are looked at that are
/// needed for that, are certificates as well.
pub(super) fn accept(
    terms: &Terms,
    host: &HostId,
    key: &KeyPair,
    certificate: Vec<u8>,
    issuers: Vec<Vec<u8>>,
) -> Result<Vec<CertificateDer<'static>>, Error> {
    let chain: Vec<_> =
        [certificate].into_iter().chain(issuers).map(CertificateDer::from).collect();
    if chain.len() > MAX_CHAIN {
        return Err(Error::Unusable);
    }
    let ours = SpiffeId { fleet: terms.fleet.clone(), subject: Subject::Host(host.clone()) };
    let leaf = chain.first().and_then(|leaf| Certificate::read(leaf).ok());
    let Some(leaf) = leaf.filter(|leaf| leaf.id == ours) else { return Err(Error::Unusable) };
    if leaf.not_after.since(leaf.not_before) > LONGEST_LIFE {
        return Err(Error::Endless);
    }
    if !store::could_be_read_back(&chain, key) {
        return Err(Error::Unreadable);
    }
    transport::check_client(&terms.ca, &chain, terms.clock.as_ref()).map_err(Error::Certificate)?;
    // rustls refuses a certificate of another key.
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let identity = Identity { chain: chain.clone(), key };
    terms.tls(Some(identity)).map_err(Error::Certificate)?;
    Ok(chain)
}
