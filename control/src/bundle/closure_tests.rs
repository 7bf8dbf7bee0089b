//! What is read of a binary cache, and what of it goes.

use super::*;

const TOP: &str = "/nix/store/00000000000000000000000000000001-nixos-system-www";
const LIB: &str = "/nix/store/00000000000000000000000000000002-lib";

fn signature(key: &str) -> String {
    format!("{key}:{}==", "A".repeat(86))
}

fn info(path: &str, nar: &str, references: &str, keys: &[&str]) -> String {
    let size = if nar == "a" { 3 } else { 2 };
    let signatures: String = keys.iter().map(|key| format!("Sig: {}\n", signature(key))).collect();
    format!(
        "StorePath: {path}\nURL: nar/{nar}.nar.zst\nCompression: zstd\nFileHash: sha256:x\nFileSize: {size}\n\
         NarHash: sha256:{}\nNarSize: 120\nReferences: {references}\n{signatures}CA: fixed:r:x\n",
        "1".repeat(52)
    )
}

/// A binary cache as `nix copy` leaves it.
fn cache(directory: &Path) {
    let key = CacheKey { path: "/k".into(), public: "fleet-1:x".into() };
    prepare(directory, &key).unwrap();
    fs::create_dir_all(directory.join("nar")).unwrap();
    let write = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
    write("nix-cache-info", "StoreDir: /nix/store\n");
    write("nar/a.nar.zst", "aaa");
    write("nar/b.nar.zst", "bb");
    let (top, lib): (StorePath, StorePath) = (TOP.parse().unwrap(), LIB.parse().unwrap());
    let references = format!("{} {}", lib.name(), top.name());
    write(&info_name(&top), &info(TOP, "a", &references, &["fleet-1"]));
    write(&info_name(&lib), &info(LIB, "b", "", &["cache.nixos.org-1", "fleet-1"]));
}

#[test]
fn a_cache_becomes_a_list_with_the_digests_of_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("cache");
    cache(&directory);
    let made = read(&directory, &TOP.parse().unwrap(), Some("fleet-1")).unwrap();
    let [top, lib] = made.closure.paths.as_slice() else { panic!("two paths") };
    assert_eq!((top.path.as_str(), lib.path.as_str()), (TOP, LIB));
    assert_eq!(top.references, [top.path.clone(), lib.path.clone()]);
    assert_eq!((lib.file.sha256, lib.file.length.get()), (Digest::of(b"bb"), 2));
    let keys: Vec<_> = lib.signatures.iter().map(NarSignature::key).collect();
    assert_eq!(keys, ["fleet-1", "cache.nixos.org-1"]);
    assert_eq!(made.nars[&Digest::of(b"aaa")], directory.join("nar/a.nar.zst"));
}

#[test]
fn what_the_closure_does_not_need_any_more_goes() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("cache");
    cache(&directory);
    let made = read(&directory, &LIB.parse().unwrap(), None).unwrap();
    prune(&directory, &made).unwrap();
    let top: StorePath = TOP.parse().unwrap();
    for (name, there) in [
        ("nar/a.nar.zst", false),
        (info_name(&top).as_str(), false),
        ("nar/b.nar.zst", true),
        ("nix-cache-info", true),
        (MARKER, true),
    ] {
        assert_eq!(directory.join(name).exists(), there, "{name}");
    }
}

#[test]
fn what_another_key_signed_goes_and_what_is_not_ours_stays() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("cache");
    cache(&directory);
    let key = |public: &str| CacheKey { path: "/k".into(), public: public.into() };
    prepare(&directory, &key("fleet-1:x")).unwrap();
    assert!(directory.join("nar/a.nar.zst").exists());
    prepare(&directory, &key("fleet-2:y")).unwrap();
    assert!(!directory.join("nar").exists());

    let foreign = dir.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("thesis.tex"), "years").unwrap();
    assert!(matches!(prepare(&foreign, &key("fleet-2:y")), Err(Error::Foreign { .. })));
    assert!(foreign.join("thesis.tex").exists());
}

#[test]
fn a_file_that_is_not_all_that_nix_wrote_is_not_signed_for() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("cache");
    cache(&directory);
    fs::write(directory.join("nar/b.nar.zst"), "b").unwrap();
    let refused = read(&directory, &TOP.parse().unwrap(), None).unwrap_err();
    assert!(matches!(refused, Error::Cut { .. }), "{refused}");
}

#[test]
fn what_is_no_narinfo_is_refused() {
    let path: StorePath = TOP.parse().unwrap();
    let good = info(TOP, "a", "", &["fleet-1"]);
    assert!(NarInfo::parse(&good, &path).is_some());
    for (from, to) in [
        (TOP, LIB),
        ("zstd\n", "xz\n"),
        ("nar/a", "nar/../a"),
        ("nar/a", "/etc/a"),
        ("NarSize: 120", "NarSize: 0"),
        ("NarHash: sha256:", "NarHash: md5:"),
        ("References: ", "References: ../x"),
        ("Sig: ", "Sig: :"),
    ] {
        assert!(good.contains(from), "{from}");
        assert!(NarInfo::parse(&good.replacen(from, to, 1), &path).is_none(), "{to}");
    }
    let unsigned = info(TOP, "a", "", &[]);
    assert!(NarInfo::parse(&unsigned, &path).unwrap().signatures.is_empty());
}
