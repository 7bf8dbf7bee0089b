//! A server on loopback stands for channels, a directory for a repository of git.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use super::super::prefetch::prefetch;
use super::*;

/// A server that leads from `/channel` to `/releases/1.tar`, and from `/far` into the open.
fn serve(archive: Vec<u8>) -> String {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let read = connection.read(&mut request).unwrap_or_default();
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let mut words = request.split(' ');
            let (method, path) =
                (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let (head, body): (String, &[u8]) = match path {
                "/channel" => ("302 Found\r\nLocation: /releases/1.tar".into(), b""),
                "/releases/1.tar" => ("200 OK".into(), &archive),
                _ => ("404 Not Found".into(), b""),
            };
            let length = body.len();
            let head =
                format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            let _ = connection.write_all(head.as_bytes());
            if method == "GET" {
                let _ = connection.write_all(body);
            }
        }
    });
    base
}

/// `source/default.nix`, which says `content`.
fn archive(content: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("source")).unwrap();
    std::fs::write(directory.path().join("source/default.nix"), content).unwrap();
    let archive = directory.path().join("source.tar");
    ran("tar", &["-cf", archive.to_str().unwrap(), "source"], directory.path());
    std::fs::read(archive).unwrap()
}

fn ran(program: &str, arguments: &[&str], directory: &Path) -> String {
    #[expect(clippy::disallowed_methods, reason = "a test's own program")]
    let output = Command::new(program).args(arguments).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn url(text: &str) -> PinUrl {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_channel_leads_to_the_release_that_is_pinned() {
    let base = serve(archive("{ }"));
    let follow: Follow = format!("{base}/channel").parse().unwrap();
    let found = target(&follow, &url("https://example.org/old.tar")).await.unwrap();
    let release = url(&format!("{base}/releases/1.tar"));
    assert_eq!(found, Target { url: release.clone(), is_fixed: true });

    // What leads nowhere else may become something else.
    let itself: Follow = release.as_str().parse().unwrap();
    assert!(!target(&itself, &release).await.unwrap().is_fixed);
    let gone: Follow = format!("{base}/gone").parse().unwrap();
    assert!(matches!(target(&gone, &release).await, Err(Error::Status { status: 404, .. })));
}

#[tokio::test]
async fn the_hash_is_the_one_that_nix_fetches_by() {
    let release = url(&format!("{}/releases/1.tar", serve(archive("\"of a release\""))));
    let hash = match prefetch(&release).await {
        Err(Error::NoProgram { .. }) => return, // Nix is not here
        hash => hash.unwrap(),
    };
    let expression =
        format!("import (builtins.fetchTarball {{ url = \"{release}\"; sha256 = \"{hash}\"; }})");
    let evaluate = ["--eval", "--expr", &expression];
    assert_eq!(ran("nix-instantiate", &evaluate, Path::new("/")).trim(), "\"of a release\"");
    let gone = url(&release.as_str().replace("releases", "gone"));
    assert!(matches!(prefetch(&gone).await, Err(Error::Failed { .. })));
}

#[tokio::test]
async fn a_branch_is_a_commit_of_its_repository() {
    let directory = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| ran("git", arguments, directory.path());
    git(&["-c", "init.defaultBranch=release/24.x", "init", "--quiet"]);
    let as_ada = ["-c", "user.name=ada", "-c", "user.email=ada@fossable.org"];
    git(&[&as_ada[..], &["commit", "--quiet", "--allow-empty", "--message", "x"]].concat());
    let commit = git(&["rev-parse", "HEAD"]).trim().to_owned();
    let remote = directory.path().to_str().unwrap();
    let branch = |name: &str| match name.parse().unwrap() {
        Follow::Branch(branch) => branch,
        Follow::Url(url) => panic!("{url}"),
    };
    assert_eq!(head(remote, &branch("release/24.x")).await.unwrap(), commit);
    // Not the branch whose name ends so.
    assert!(matches!(head(remote, &branch("24.x")).await, Err(Error::NoBranch { .. })));
}

#[tokio::test]
async fn a_branch_needs_a_repository() {
    for bad in
        ["https://example.org/n.tar.gz", "https://github.com/NixOS", "https://github.com/a/b/x"]
    {
        let follow = "main".parse().unwrap();
        let found = target(&follow, &url(bad)).await;
        assert!(matches!(found, Err(Error::NoRepository { .. })), "{bad}");
    }
    let archive = url("https://github.com/NixOS/nixpkgs/archive/0371879f.tar.gz");
    assert_eq!(github(&archive), Some(("NixOS", "nixpkgs")));
}
