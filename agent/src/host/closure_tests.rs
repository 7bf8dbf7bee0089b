//! What a closure needs before it comes, and what is said where it does not.

use super::*;

/// A system of one path.
pub(crate) fn closure() -> Closure {
    let path = "/nix/store/00000000000000000000000000000001-nixos-system-www";
    let signature = format!("fleet-1:{}==", "A".repeat(86));
    let digest = floe_proto::digest::Digest::of(b"nar");
    let text = format!(
        r#"{{"schema":1,"toplevel":"{path}","paths":[{{"path":"{path}","nar_hash":"sha256:{}",
        "nar_size":200,"references":[],"signatures":["{signature}"],
        "file":{{"sha256":"{digest}","length":91,"compression":"zstd"}}}}]}}"#,
        "0".repeat(52)
    );
    Closure::parse(text.as_bytes()).unwrap()
}

#[test]
fn room_is_looked_for_where_it_is_needed() {
    assert_eq!(demands(true, 1, 2), [(Place::Store, 3)]);
    assert_eq!(demands(false, 1, 2), [(Place::State, 1), (Place::Store, 2)]);
    assert_eq!(demands(true, u64::MAX, 2), [(Place::Store, u64::MAX)]);
}

#[test]
fn a_key_that_nobody_trusts_is_named_with_what_to_do() {
    let said = "error: cannot add path '/nix/store/x' because it lacks a valid signature";
    let error = Error::copy(build::Error::Failed { said: said.into() }, &closure());
    let text = error.to_string();
    assert!(matches!(error, Error::Untrusted { .. }));
    for part in ["(fleet-1)", "trusted-public-keys", "lacks a valid signature"] {
        assert!(text.contains(part), "{text}");
    }
    let other =
        Error::copy(build::Error::Failed { said: "error: hash mismatch".into() }, &closure());
    assert!(matches!(other, Error::Copy { .. }));
}

#[test]
fn a_list_that_is_none_or_has_no_end_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(closure::FILE);
    assert!(matches!(read(dir.path()), Err(Error::Disk { .. })));
    fs::write(&file, closure().to_bytes().unwrap()).unwrap();
    assert_eq!(read(dir.path()).unwrap(), closure());
    fs::write(&file, vec![b' '; closure::MAX_BYTES + 5]).unwrap();
    assert!(matches!(read(dir.path()), Err(Error::List(_))));
}
