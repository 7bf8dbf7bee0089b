//! Callers that break the rules of gRPC and HTTP/2 (catalogue T092): what they say is
//! refused, quickly, and the next caller is served.

use std::time::Instant;

use tonic::body::Body;
use tonic::codegen::{Service as _, http};

use super::*;

/// The answer to `body` as the message of an enrolment, which anybody may begin.
async fn answer(channel: &mut Channel, encoding: Option<&str>, body: &str) -> Code {
    std::future::poll_fn(|context| channel.poll_ready(context)).await.unwrap();
    let mut request = http::Request::post("/floe.v1.Enrolment/Enrol")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(encoding) = encoding {
        request = request.header("grpc-encoding", encoding);
    }
    let response = channel.call(request.body(Body::new(body.to_owned())).unwrap()).await.unwrap();
    let status = response.headers().get("grpc-status").unwrap();
    Code::from_bytes(status.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t092_what_is_too_long_or_compressed_is_refused_before_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let mut channel = running.channel(None).await;
    #[expect(clippy::disallowed_methods, reason = "a test that measures how long it was kept")]
    let begun = Instant::now();
    for (what, encoding, body, expected) in [
        // Flag, four bytes of length, message (gRPC over HTTP/2, "Length-Prefixed-Message").
        ("two gigabytes are announced", None, "\0\x7f\x7f\x7f\x7f", Code::OutOfRange),
        ("compressed, and nobody said how", None, "\x01\0\0\0\x01x", Code::Internal),
        ("an unknown compressor", Some("rot13"), "\x01\0\0\0\x01x", Code::Unimplemented),
        ("a bomb, perhaps", Some("gzip"), "\x01\0\0\0\x01x", Code::Unimplemented),
        ("no protobuf", None, "\0\0\0\0\x01\x7f", Code::Internal),
        ("groups in groups", None, &nested(), Code::Internal),
    ] {
        assert_eq!(answer(&mut channel, encoding, body).await, expected, "{what}");
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    running.enrol("local-a", &running.token().await).await.unwrap();
    running.stop().await;
}

/// A message of groups that only ever begin; each could cost a level of the stack.
fn nested() -> String {
    let depth = 0x2000;
    // Field 15, wire type 3. The length's bytes are ASCII as well.
    let length = String::from_utf8(vec![0, 0, 0x20, 0]).unwrap();
    format!("\0{length}{}", "\x7b".repeat(depth))
}
