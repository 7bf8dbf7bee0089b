//! Who may be the control plane: what a client asks of a server's certificate.
//!
//! First all that is asked of any server (a chain to the fleet's CA, good now, made for
//! servers, with the name that was dialled), then the SPIFFE id (docs/trust.md 3.4). So a
//! certificate of a host or an operator cannot pose as the control plane, not even where
//! the CA was talked into a name for it.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};

use super::{Error, provider};
use crate::certificate::{self, Certificate};
use crate::id::Fleet;
use crate::spiffe::{SpiffeId, Subject};

/// Accepts the control plane of one fleet.
#[derive(Debug)]
pub(super) struct ControlPlane {
    id: SpiffeId,
    any_server: Arc<WebPkiServerVerifier>,
}

impl ControlPlane {
    pub(super) fn new(roots: RootCertStore, fleet: &Fleet) -> Result<Self, Error> {
        let any_server = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|_| Error::Pem { what: "CA" })?;
        Ok(Self { id: SpiffeId { fleet: fleet.clone(), subject: Subject::Control }, any_server })
    }

    fn judge(&self, certificate: &CertificateDer<'_>) -> Result<(), Impostor> {
        let expected = &self.id;
        match Certificate::read(certificate) {
            Ok(found) if found.id == *expected => Ok(()),
            Ok(found) => Err(Impostor::Other { expected: expected.clone(), found: found.id }),
            Err(why) => Err(Impostor::Nobody { expected: expected.clone(), why }),
        }
    }
}

impl ServerCertVerifier for ControlPlane {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.any_server.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        self.judge(end_entity)
            .map_err(|impostor| CertificateError::Other(OtherError(Arc::new(impostor))))?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.any_server.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.any_server.supported_verify_schemes()
    }
}

/// A server of our CA that is not the control plane.
#[derive(Debug, thiserror::Error)]
enum Impostor {
    #[error("the server should be `{expected}`, but its certificate speaks for `{found}`")]
    Other { expected: SpiffeId, found: SpiffeId },
    #[error("the server should be `{expected}`, but of its certificate: {why}")]
    Nobody { expected: SpiffeId, why: certificate::Error },
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
        SanType,
    };

    use super::*;

    /// A CA that signs whatever it is asked to, and a verifier that trusts it.
    struct World {
        issuer: Issuer<'static, KeyPair>,
        verifier: ControlPlane,
    }

    impl World {
        fn new() -> Self {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let ca = params.self_signed(&key).unwrap().der().clone();
            let roots = super::super::roots(&[ca]).unwrap();
            let verifier = ControlPlane::new(roots, &"fossable.org".parse().unwrap()).unwrap();
            Self { issuer: Issuer::new(params, key), verifier }
        }

        fn accepts(&self, ids: &[&str], change: impl FnOnce(&mut CertificateParams)) -> bool {
            let mut params = CertificateParams::new(["floe.fossable.org".to_owned()]).unwrap();
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            let ids = ids.iter().map(|id| SanType::URI((*id).try_into().unwrap()));
            params.subject_alt_names.extend(ids);
            change(&mut params);
            let leaf = params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap();
            let name = ServerName::try_from("floe.fossable.org").unwrap();
            let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_795_000_000));
            self.verifier.verify_server_cert(leaf.der(), &[], &name, &[], now).is_ok()
        }
    }

    const CONTROL: &str = "spiffe://fossable.org/control";

    #[test]
    fn t085_only_the_control_plane_of_the_fleet_is_the_control_plane() {
        let world = World::new();
        assert!(world.accepts(&[CONTROL], |_| ()));
        for ids in [
            &[][..],
            &["spiffe://fossable.org/host/local-www-1"],
            &["spiffe://fossable.org/operator/admin"],
            &["spiffe://example.org/control"],
            &["spiffe://fossable.org/control/x"],
            &["https://fossable.org/control"],
            &[CONTROL, CONTROL],
            &[CONTROL, "spiffe://fossable.org/host/local-www-1"],
        ] {
            assert!(!world.accepts(ids, |_| ()), "{ids:?}");
        }
    }

    #[test]
    fn t085_t089_what_is_asked_of_any_server_is_asked_too() {
        let world = World::new();
        let client = |params: &mut CertificateParams| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        };
        assert!(!world.accepts(&[CONTROL], client), "a certificate for clients");
        let other_name = |params: &mut CertificateParams| {
            params.subject_alt_names.retain(|name| !matches!(name, SanType::DnsName(_)));
        };
        assert!(!world.accepts(&[CONTROL], other_name), "without the name that was dialled");
        let expired = |params: &mut CertificateParams| {
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        };
        assert!(!world.accepts(&[CONTROL], expired), "expired");
        let ca = |params: &mut CertificateParams| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        };
        assert!(!world.accepts(&[CONTROL], ca), "a CA");
        let strangers = World::new();
        assert!(!World { issuer: strangers.issuer, ..world }.accepts(&[CONTROL], |_| ()));
    }
}
