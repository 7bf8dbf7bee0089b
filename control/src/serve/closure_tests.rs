//! Closures through the wire: what the payload lists gets a place, and whoever is assigned
//! it finds its NARs; nobody else does, whatever digests they know.

use floe_proto::closure::Closure;

use super::*;
use crate::bundle::listed;

/// A system of one store path for each NAR, the first of which needs the others.
fn closure(nars: &[&[u8]]) -> Closure {
    let path = |number: usize| format!("/nix/store/{number:032}-p");
    let entry = |(at, nar): (usize, &&[u8])| {
        let references: Vec<_> = if at == 0 { (1..nars.len()).map(path).collect() } else { vec![] };
        serde_json::json!({
            "path": path(at), "nar_hash": format!("sha256:{at:052}"), "nar_size": 200,
            "references": references, "signatures": [format!("k-1:{}==", "A".repeat(86))],
            "file": {"sha256": Digest::of(nar), "length": nar.len(), "compression": "zstd"},
        })
    };
    let paths: Vec<_> = nars.iter().enumerate().map(entry).collect();
    let list = serde_json::json!({"schema": 1, "toplevel": path(0), "paths": paths});
    Closure::parse(list.to_string().as_bytes()).unwrap()
}

fn packed(nars: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    listed::pack(&closure(nars), &mut bytes).unwrap();
    bytes
}

/// The manifest of a closure with this payload.
fn of_closure(role: &str, payload: &[u8]) -> Vec<u8> {
    let configuration = Envelope::parse(&envelope(1, 2)).unwrap();
    let mut manifest = Manifest::parse(configuration.unverified_payload()).unwrap();
    (manifest.schema, manifest.kind) = (3, Kind::Closure);
    manifest.role = role.parse().unwrap();
    manifest.entry = floe_proto::closure::FILE.to_owned().try_into().unwrap();
    let length = u64::try_from(payload.len()).unwrap().try_into().unwrap();
    manifest.payload = Payload { sha256: Digest::of(payload), length };
    Envelope::sign(manifest::TYPE, &manifest.to_bytes().unwrap(), &[&key(2)]).unwrap()
}

impl Running {
    async fn put(&self, url: &str, headers: &[pb::Header], bytes: Vec<u8>) {
        let ca = transport::certificates(&self.ca()).unwrap();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(transport::https_config(&ca).unwrap())
            .build()
            .unwrap();
        let request = http.put(url).body(bytes);
        let with = |request: reqwest::RequestBuilder, header: &pb::Header| {
            request.header(&header.name, &header.value)
        };
        let sent = headers.iter().fold(request, with).send().await.unwrap();
        assert!(sent.status().is_success(), "{}", sent.status());
    }

    async fn places(&self, manifest: &str, nars: &[&[u8]]) -> Result<Vec<pb::NarUpload>, Status> {
        let request = pb::BeginNarsRequest {
            manifest_digest: manifest.to_owned(),
            nar_digests: nars.iter().map(|nar| Digest::of(nar).to_string()).collect(),
        };
        Ok(self.operator().await.begin_nars(request).await?.into_inner().uploads)
    }

    /// Publishes and rolls out a closure of these NARs.
    async fn roll_out(&self, role: &str, nars: &[&[u8]]) {
        let payload = packed(nars);
        let begun = self.begin(of_closure(role, &payload)).await.unwrap();
        self.put(&begun.upload_url, &begun.upload_headers, payload).await;
        for (place, nar) in
            self.places(&begun.manifest_digest, nars).await.unwrap().iter().zip(nars)
        {
            if !place.upload_url.is_empty() {
                self.put(&place.upload_url, &place.upload_headers, nar.to_vec()).await;
            }
        }
        self.finish(&begun.manifest_digest).await.unwrap();
        let start =
            pb::StartRolloutRequest { role: role.into(), epoch: 0, serial: 1, retry: false };
        self.operator().await.start_rollout(start).await.unwrap();
    }

    /// A host of `role` that holds its stream, and was told what to run.
    async fn told(&self, role: &str, host: &str) -> Told {
        let request = pb::CreateJoinTokenRequest { role: role.into(), ..Default::default() };
        let token = self.operator().await.create_join_token(request).await.unwrap();
        let key = KeyPair::generate().unwrap();
        let request = CertificateParams::default().serialize_request(&key).unwrap();
        let request = pb::EnrolRequest {
            certificate_request: request.der().to_vec(),
            host: host.into(),
            attestation: Some(Attestation::Token(token.into_inner().token)),
        };
        let reply = EnrolmentClient::new(self.channel(None).await).enrol(request).await.unwrap();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let chain = vec![reply.into_inner().certificate.into()];
        let identity = Identity { chain, key };
        let mut session = HostSessionClient::new(self.channel(Some(identity)).await);
        let (says, receiver) = mpsc::channel(4);
        let hello = pb::Hello { root_version: 1, ..Default::default() };
        let hello = pb::FromAgent { message: Some(pb::from_agent::Message::Hello(hello)) };
        says.send(hello).await.unwrap();
        let mut hears = session.open(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        loop {
            let said = hears.message().await.unwrap().unwrap().message;
            if matches!(said, Some(pb::to_agent::Message::Assignment(_))) {
                return Told { session, _says: says, _hears: hears };
            }
        }
    }
}

struct Told {
    session: HostSessionClient<Channel>,
    _says: mpsc::Sender<pb::FromAgent>,
    _hears: tonic::Streaming<pb::ToAgent>,
}

impl Told {
    async fn locate(&self, what: &[u8]) -> Result<String, Status> {
        let asked = pb::LocatePayloadRequest { payload_digest: Digest::of(what).to_string() };
        Ok(self.session.clone().locate_payload(asked).await?.into_inner().url)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closure_is_published_when_all_that_it_lists_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let nars: [&[u8]; 2] = [b"system", b"library"];
    let payload = packed(&nars);
    let begun = running.begin(of_closure("www", &payload)).await.unwrap();
    let manifest = begun.manifest_digest.as_str();
    // The list is not there yet, so that nobody knows what has a place.
    assert_eq!(code(running.places(manifest, &nars).await), Code::FailedPrecondition);
    running.put(&begun.upload_url, &begun.upload_headers, payload).await;

    assert_eq!(code(running.places(manifest, &[b"smuggled"]).await), Code::NotFound);
    assert_eq!(code(running.places(manifest, &[nars[0]; 65]).await), Code::InvalidArgument);
    let places = running.places(manifest, &nars).await.unwrap();
    running.put(&places[0].upload_url, &places[0].upload_headers, nars[0].to_vec()).await;
    let unfinished = running.finish(manifest).await.unwrap_err();
    assert_eq!(unfinished.code(), Code::FailedPrecondition);
    assert!(unfinished.message().contains("1 of the closure's 2 NARs"), "{unfinished}");
    running.put(&places[1].upload_url, &places[1].upload_headers, nars[1].to_vec()).await;
    running.finish(manifest).await.unwrap();
    let again = running.places(manifest, &nars).await.unwrap();
    assert!(again.iter().all(|place| place.upload_url.is_empty()), "all is there");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_list_of_a_closure_is_not_published_and_has_no_nars() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let nonsense = b"no tar.zst".to_vec();
    let begun = running.begin(of_closure("www", &nonsense)).await.unwrap();
    running.put(&begun.upload_url, &begun.upload_headers, nonsense).await;
    assert_eq!(code(running.finish(&begun.manifest_digest).await), Code::FailedPrecondition);

    let begun = running.begin(envelope(2, 2)).await.unwrap();
    running.upload(&begun).await;
    let places = running.places(&begun.manifest_digest, &[]).await;
    assert_eq!(code(places), Code::FailedPrecondition);
    running.finish(&begun.manifest_digest).await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_digest_alone_opens_no_other_roles_nars() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let (www, mail): ([&[u8]; 2], [&[u8]; 2]) = ([b"website", b"shared"], [b"mailer", b"shared"]);
    running.roll_out("www", &www).await;
    running.roll_out("mail", &mail).await;
    let (web, post) = (running.told("www", "local-w").await, running.told("mail", "local-m").await);

    for (host, nars, other) in [(&web, www, mail), (&post, mail, www)] {
        for nar in nars {
            assert!(host.locate(nar).await.unwrap().contains("/nars/"));
        }
        host.locate(&packed(&nars)).await.unwrap();
        assert_eq!(code(host.locate(other[0]).await), Code::NotFound);
        assert_eq!(code(host.locate(&packed(&other)).await), Code::NotFound);
    }
    running.stop().await;
}
