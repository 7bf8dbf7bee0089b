//! Every method of every service, called by every kind of caller (catalogue T085,
//! T086, T092). A method that is new in a `.proto` file fails here until it is entered.

use std::collections::BTreeSet;

use floe_proto::id::Fleet;
use rcgen::{ExtendedKeyUsagePurpose, IsCa, Issuer, SanType};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic_prost::ProstCodec;

use super::*;
use crate::operator::OperatorRole;
use crate::serve::table::{Need, TABLE};

const PROTOS: &[&str] = &[
    include_str!("../../../proto/floe/v1/authority.proto"),
    include_str!("../../../proto/floe/v1/admission.proto"),
    include_str!("../../../proto/floe/v1/enrolment.proto"),
    include_str!("../../../proto/floe/v1/operator.proto"),
    include_str!("../../../proto/floe/v1/operators.proto"),
    include_str!("../../../proto/floe/v1/preview.proto"),
    include_str!("../../../proto/floe/v1/secrets.proto"),
    include_str!("../../../proto/floe/v1/session.proto"),
    include_str!("../../../proto/floe/v1/trust.proto"),
];

/// How far a caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// TLS refuses.
    Nowhere,
    /// "Who are you?"
    Unknown,
    /// "Not you."
    Denied,
    /// To the handler, which finds that there is nothing in the message.
    Handler,
}

#[test]
fn t086_every_method_is_entered() {
    let mut known = BTreeSet::new();
    for proto in PROTOS {
        let mut service = "";
        for line in proto.lines().map(str::trim) {
            let word = |keyword| line.strip_prefix(keyword)?.split([' ', '(', '{']).next();
            service = word("service ").unwrap_or(service);
            known.extend(word("rpc ").map(|method| format!("{service}/{method}")));
        }
    }
    let entered: BTreeSet<_> = TABLE.iter().map(|rule| rule.action().to_owned()).collect();
    assert_eq!(entered.len(), TABLE.len(), "a method is entered once");
    assert_eq!(known, entered);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t085_t086_every_caller_reaches_exactly_what_is_meant_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let host = running.enrol("local-a", &running.token().await).await.unwrap();
    let ca = Ca::of(&dir.path().join("ca"));
    let stranger_dir = tempfile::tempdir().unwrap();
    let fleet: Fleet = "fossable.org".parse().unwrap();
    ca::Authority::open(stranger_dir.path(), &fleet, clock::now()).unwrap();
    let stranger = Ca::of(stranger_dir.path());

    let (local_a, admin) = ("spiffe://fossable.org/host/local-a", operator_id("admin"));
    let client = ExtendedKeyUsagePurpose::ClientAuth;
    let server = ExtendedKeyUsagePurpose::ServerAuth;
    let plain = |ids: &[&str]| ca.issue(ids, client.clone(), |_| {});
    let at = |from, to| {
        ca.issue(&[&admin], client.clone(), |params| {
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(to, 1, 1);
        })
    };
    use Reach::{Denied, Handler, Nowhere, Unknown};
    // What anyone, hosts and operators may call.
    let callers = [
        ("nobody", None, [Handler, Unknown, Unknown]),
        ("the host", Some(host), [Handler, Handler, Denied]),
        ("the host with another key", Some(plain(&[local_a])), [Handler, Denied, Denied]),
        (
            "a host that is not on record",
            Some(plain(&["spiffe://fossable.org/host/local-b"])),
            [Handler, Denied, Denied],
        ),
        (
            "a client that says it is the control plane",
            Some(plain(&["spiffe://fossable.org/control"])),
            [Handler, Denied, Denied],
        ),
        ("who has two ids", Some(plain(&[&admin, local_a])), [Handler, Unknown, Unknown]),
        ("who has no id", Some(plain(&[])), [Handler, Unknown, Unknown]),
        (
            "an operator whose certificate is not on record",
            Some(plain(&[&admin])),
            [Handler, Denied, Denied],
        ),
        (
            "an operator of another fleet",
            Some(plain(&["spiffe://example.org/operator/admin"])),
            [Handler, Unknown, Unknown],
        ),
        (
            "who is a CA itself",
            Some(ca.issue(&[&admin], client.clone(), |params| {
                params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            })),
            // webpki refuses it, or we do.
            [Nowhere, Nowhere, Nowhere],
        ),
        (
            "an operator of another CA",
            Some(stranger.issue(&[&admin], client.clone(), |_| {})),
            [Nowhere, Nowhere, Nowhere],
        ),
        ("who has expired", Some(at(2000, 2020)), [Nowhere, Nowhere, Nowhere]),
        ("who is not valid yet", Some(at(2100, 2110)), [Nowhere, Nowhere, Nowhere]),
        (
            "who has a server's certificate",
            Some(ca.issue(&[&admin], server, |_| {})),
            [Nowhere, Nowhere, Nowhere],
        ),
    ];
    let callers = callers.map(|(name, identity, reaches)| (name, identity, (reaches, None)));
    let operators = [
        ("a viewer", running.logged_in("vic", OperatorRole::Viewer).await, OperatorRole::Viewer),
        (
            "a deployer",
            running.logged_in("dan", OperatorRole::Deployer).await,
            OperatorRole::Deployer,
        ),
        ("an admin", running.logged_in("ada", OperatorRole::Admin).await, OperatorRole::Admin),
        ("the first admin", running.admin(), OperatorRole::Admin),
    ];
    let operators = operators.map(|(name, identity, role)| {
        (name, Some(identity), ([Handler, Denied, Denied], Some(role)))
    });
    for (name, identity, reaches) in callers.into_iter().chain(operators) {
        let channel = running.try_channel(identity).await;
        for rule in TABLE {
            let ([anyone, hosts, operators], role) = reaches;
            let expected = match (rule.need, role) {
                (Need::Anyone, _) => anyone,
                (Need::Host, _) => hosts,
                (Need::Viewer, Some(_))
                | (Need::Deployer, Some(OperatorRole::Deployer | OperatorRole::Admin))
                | (Need::Admin, Some(OperatorRole::Admin)) => Handler,
                (Need::Viewer | Need::Deployer | Need::Admin, _) => operators,
            };
            let method = rule.action();
            let reach = match &channel {
                Ok(channel) => call(channel.clone(), method).await,
                Err(_) => Nowhere,
            };
            assert_eq!(reach, expected, "{name} calls {method}");
        }
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t092_a_message_beyond_the_cap_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let too_much = |answer: Result<_, Status>| {
        assert_eq!(answer.map(drop).unwrap_err().code(), Code::OutOfRange);
    };
    let envelope = vec![0; MAX_MESSAGE_BYTES + 1];
    let request = pb::BeginPublicationRequest { manifest_envelope: envelope };
    too_much(running.operator().await.begin_publication(request).await.map(drop));
    let request = pb::EnrolRequest {
        certificate_request: vec![0; MAX_ENROL_BYTES + 1],
        ..Default::default()
    };
    too_much(EnrolmentClient::new(running.channel(None).await).enrol(request).await.map(drop));

    let host = running.enrol("local-a", &running.token().await).await.unwrap();
    let hello = pb::Hello { system: "x".repeat(MAX_MESSAGE_BYTES + 1), ..Default::default() };
    let hello = pb::FromAgent { message: Some(pb::from_agent::Message::Hello(hello)) };
    let mut session = HostSessionClient::new(running.channel(Some(host)).await);
    let stream = session.open(tokio_stream::once(hello)).await.unwrap();
    too_much(stream.into_inner().message().await.map(drop));
    running.stop().await;
}

async fn call(channel: Channel, method: &str) -> Reach {
    let mut grpc = Grpc::new(channel);
    if grpc.ready().await.is_err() {
        return Reach::Nowhere;
    }
    let path: PathAndQuery = format!("/floe.v1.{method}").parse().unwrap();
    // All fields of an empty message have their defaults, whatever its type.
    let codec = ProstCodec::<(), ()>::default();
    let answer = grpc.server_streaming(tonic::Request::new(()), path, codec).await;
    let first = match answer {
        Ok(answer) => answer.into_inner().message().await.map(drop),
        Err(status) => Err(status),
    };
    match first.map_err(|status| status.code()) {
        Err(Code::Unauthenticated) => Reach::Unknown,
        Err(Code::PermissionDenied) => Reach::Denied,
        // The connection ended before it could carry a call.
        Err(Code::Unavailable | Code::Unknown | Code::Cancelled) => Reach::Nowhere,
        Err(Code::InvalidArgument | Code::FailedPrecondition | Code::NotFound) | Ok(()) => {
            Reach::Handler
        }
        Err(other) => panic!("{method} answers {other:?}"),
    }
}

impl Running {
    pub(super) async fn try_channel(
        &self,
        identity: Option<Identity>,
    ) -> Result<Channel, transport::Error> {
        let ca = transport::certificates(&self.ca()).unwrap();
        let config =
            transport::client_config(&ca, &"fossable.org".parse().unwrap(), identity).unwrap();
        transport::connect(&self.bound.url, config).await
    }
}

fn operator_id(name: &str) -> String {
    format!("spiffe://fossable.org/operator/{name}")
}

/// An issuer that signs whatever it is asked to.
struct Ca(Issuer<'static, KeyPair>);

impl Ca {
    fn of(directory: &Path) -> Self {
        let file = |name| fs::read_to_string(directory.join(name)).unwrap();
        let key = KeyPair::from_pem(&file("issuer-1.key")).unwrap();
        Self(Issuer::from_ca_cert_pem(&file("issuer-1.pem"), key).unwrap())
    }

    fn issue(
        &self,
        ids: &[&str],
        usage: ExtendedKeyUsagePurpose,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names =
            ids.iter().map(|id| SanType::URI((*id).try_into().unwrap())).collect();
        params.extended_key_usages = vec![usage];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Identity { chain: vec![certificate.der().clone()], key }
    }
}
