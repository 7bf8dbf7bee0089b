//! The metadata service on loopback: as it is, and as whoever stands in its place.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Error, Imds};
use crate::testing::Metadata;

const INSTANCE: &str = "/latest/meta-data/instance-id";
const DOCUMENT: &str = "/latest/dynamic/instance-identity/rsa2048";

struct World {
    imds: Imds,
    metadata: Arc<Metadata>,
    _tasks: JoinSet<()>,
}

async fn world() -> World {
    let metadata = Metadata::of("i-0123456789abcdef0", &[0x30; 1100]);
    let mut tasks = JoinSet::new();
    let imds = Imds::at(metadata.serve(&mut tasks).await);
    World { imds, metadata, _tasks: tasks }
}

async fn that_says(path: &'static str, raw: &str) -> World {
    let world = world().await;
    world.metadata.instead.lock().unwrap().push((path, raw.to_owned()));
    world
}

#[tokio::test]
async fn each_question_is_asked_with_a_token_that_was_put_first() {
    let world = world().await;
    assert_eq!(world.imds.instance().await.unwrap().as_str(), "i-0123456789abcdef0");
    assert_eq!(world.imds.document().await.unwrap(), [0x30; 1100]);
    let asked = world.metadata.asked.lock().unwrap().clone();
    let put = "PUT /latest/api/token HTTP/1.1".to_owned();
    let get = |path| format!("GET {path} HTTP/1.1");
    assert_eq!(asked, [put.clone(), get(INSTANCE), put, get(DOCUMENT)]);
}

#[tokio::test]
async fn without_a_token_nothing_is_asked() {
    let world = that_says("/latest/api/token", "HTTP/1.1 404 Not Found\r\n\r\n").await;
    assert!(matches!(world.imds.instance().await, Err(Error::Status { status: 404, .. })));
    assert_eq!(world.metadata.asked.lock().unwrap().len(), 1);
    let world = that_says("/latest/api/token", "HTTP/1.1 403 Forbidden\r\n\r\n").await;
    assert!(matches!(world.imds.instance().await, Err(Error::Off)));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let raw = format!("HTTP/1.1 302 Found\r\nlocation: {DOCUMENT}\r\ncontent-length: 0\r\n\r\n");
    let world = that_says(INSTANCE, &raw).await;
    assert!(matches!(world.imds.instance().await, Err(Error::Status { status: 302, .. })));
    assert_eq!(world.metadata.asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let raw = format!("HTTP/1.1 200 OK\r\n\r\n{}", "A".repeat(1024 * 1024));
    for path in [INSTANCE, DOCUMENT] {
        let world = that_says(path, &raw).await;
        let answer = match path {
            INSTANCE => world.imds.instance().await.map(|_| ()),
            _ => world.imds.document().await.map(|_| ()),
        };
        assert!(matches!(answer, Err(Error::Malformed { .. })), "{answer:?}");
    }
}

#[tokio::test]
async fn what_is_no_instance_or_no_document_is_refused() {
    for bad in ["", "local-www", "i-123", "i-0123456789abcdef0/../x", "<html>"] {
        let raw = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{bad}", bad.len());
        let world = that_says(INSTANCE, &raw).await;
        let answer = world.imds.instance().await;
        assert!(matches!(answer, Err(Error::Malformed { .. })), "{bad}: {answer:?}");
    }
    for bad in ["", "MII", "M I I", "-----BEGIN PKCS7-----"] {
        let raw = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{bad}", bad.len());
        let world = that_says(DOCUMENT, &raw).await;
        let answer = world.imds.document().await;
        assert!(matches!(answer, Err(Error::Malformed { .. })), "{bad}: {answer:?}");
    }
}
