//! For tests: somebody who signs instance identity documents as AWS does, with a
//! certificate of their own; and EC2's API, which says what it is told to say.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use x509_parser::prelude::parse_x509_certificate;

use floe_proto::time::Timestamp;

use super::instance::Instance;
use super::pkcs7;
use crate::aws::ec2::Ec2;

/// A certificate, and the key to it.
pub(crate) struct Aws {
    key: KeyPair,
    issuer: Vec<u8>,
    serial: Vec<u8>,
    /// The certificate, to be trusted.
    pub(crate) pem: String,
}

/// One for all tests of a process: RSA keys take their time.
pub(crate) static AWS: LazyLock<Aws> = LazyLock::new(Aws::new);

impl Aws {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let der = PrivatePkcs8KeyDer::from(der.as_ref());
        let signing =
            rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "played AWS");
        let certificate = params.self_signed(&signing).unwrap();
        let (_, parsed) = parse_x509_certificate(certificate.der()).unwrap();
        Self {
            issuer: parsed.issuer().as_raw().to_vec(),
            serial: parsed.raw_serial().to_vec(),
            pem: certificate.pem(),
            key,
        }
    }

    /// What the metadata service would send.
    pub(crate) fn sign(&self, document: &str) -> Vec<u8> {
        pkcs7::tests::sign(document.as_bytes(), &self.issuer, &self.serial, &self.key)
    }
}

/// A document as AWS writes it, of one instance.
pub(crate) fn document(instance: &str, pending: &str) -> String {
    format!(
        r#"{{
  "accountId" : "123456789012",
  "architecture" : "x86_64",
  "availabilityZone" : "eu-central-1a",
  "billingProducts" : null,
  "devpayProductCodes" : null,
  "marketplaceProductCodes" : null,
  "imageId" : "ami-0123456789abcdef0",
  "instanceId" : "{instance}",
  "instanceType" : "t4g.small",
  "kernelId" : null,
  "pendingTime" : "{pending}",
  "privateIp" : "10.0.0.209",
  "ramdiskId" : null,
  "region" : "eu-central-1",
  "version" : "2017-09-30"
}}"#
    )
}

/// The same instance, as AWS describes it.
pub(crate) fn instance(id: &str, started: Timestamp) -> Instance {
    Instance {
        id: id.to_owned(),
        account: "123456789012".to_owned(),
        image: "ami-0123456789abcdef0".to_owned(),
        running: true,
        launched: Some(started),
        answers_without_token: false,
        hop_limit: 1,
        root_attached: Some(started),
        network_attached: Some(started),
    }
}

/// The same, as EC2's API says it ("DescribeInstances", example response).
pub(crate) fn described(id: &str, started: Timestamp) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
<requestId>r</requestId><reservationSet><item><ownerId>123456789012</ownerId><instancesSet><item>
<instanceId>{id}</instanceId><imageId>ami-0123456789abcdef0</imageId>
<instanceState><code>16</code><name>running</name></instanceState><launchTime>{started}</launchTime>
<rootDeviceName>/dev/xvda</rootDeviceName><blockDeviceMapping>
<item><deviceName>/dev/sdb</deviceName><ebs><attachTime>2001-01-01T00:00:00Z</attachTime></ebs></item>
<item><deviceName>/dev/xvda</deviceName><ebs><attachTime>{started}</attachTime></ebs></item>
</blockDeviceMapping><networkInterfaceSet><item><attachment><deviceIndex>0</deviceIndex>
<attachTime>{started}</attachTime></attachment></item></networkInterfaceSet>
<metadataOptions><httpTokens>required</httpTokens>
<httpPutResponseHopLimit>1</httpPutResponseHopLimit></metadataOptions>
</item></instancesSet></item></reservationSet></DescribeInstancesResponse>"#
    )
}

/// EC2's API on loopback; gone when dropped.
pub(crate) struct Ec2Api {
    address: SocketAddr,
    said: Arc<Mutex<(u16, String)>>,
    asked: Arc<Mutex<(usize, String)>>,
    _tasks: JoinSet<()>,
}

impl Ec2Api {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let said = Arc::new(Mutex::new((500, String::new())));
        let asked = Arc::new(Mutex::new((0, String::new())));
        let (answers, questions) = (Arc::clone(&said), Arc::clone(&asked));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                let (answers, questions) = (Arc::clone(&answers), Arc::clone(&questions));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (answers, questions) = (Arc::clone(&answers), Arc::clone(&questions));
                    async move {
                        let body = read(request.into_body()).await;
                        let number = questions.lock().unwrap().0 + 1;
                        *questions.lock().unwrap() = (number, body);
                        let (status, text) = answers.lock().unwrap().clone();
                        let response = Response::builder().status(status).body(text);
                        Ok::<_, Infallible>(response.unwrap())
                    }
                });
                connections.spawn(async move {
                    let _ =
                        http1::Builder::new().serve_connection(TokioIo::new(tcp), service).await;
                });
            }
        });
        Self { address, said, asked, _tasks: tasks }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) async fn client(&self) -> Ec2 {
        Ec2::new(Some(&self.endpoint())).await
    }

    pub(crate) fn say(&self, status: u16, text: String) {
        *self.said.lock().unwrap() = (status, text);
    }

    pub(crate) fn fail(&self, status: u16, code: &str) {
        let text =
            format!("<Response><Errors><Error><Code>{code}</Code></Error></Errors></Response>");
        self.say(status, text);
    }

    /// What it was asked last.
    pub(crate) fn asked(&self) -> String {
        self.asked.lock().unwrap().1.clone()
    }

    /// How often it was asked.
    pub(crate) fn questions(&self) -> usize {
        self.asked.lock().unwrap().0
    }
}

async fn read(mut body: Incoming) -> String {
    let mut bytes = Vec::new();
    while let Some(frame) =
        std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await
    {
        if let Ok(data) = frame.unwrap().into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    String::from_utf8(bytes).unwrap()
}
