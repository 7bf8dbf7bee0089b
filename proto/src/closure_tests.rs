//! What a list may say, to the byte; and what it may not.

use proptest::prelude::*;

use super::*;

/// The path with this number.
fn path(number: usize) -> StorePath {
    format!("{}{number:032}-p{number}", crate::store_path::STORE).parse().unwrap()
}

fn entry(number: usize, references: impl IntoIterator<Item = usize>) -> Entry {
    let references: BTreeSet<_> = references.into_iter().map(path).collect();
    Entry {
        path: path(number),
        nar_hash: format!("sha256:{number:052}").try_into().unwrap(),
        nar_size: NonZeroU64::new(120 + number as u64).unwrap(),
        references: references.into_iter().collect(),
        signatures: vec![signature("fleet-1", number)],
        file: NarFile {
            sha256: Digest::of(&number.to_le_bytes()),
            length: NonZeroU64::new(91).unwrap(),
            compression: Compression::Zstd,
        },
    }
}

fn signature(key: &str, number: usize) -> NarSignature {
    let bytes = [u8::try_from(number % 251).unwrap(); 64];
    format!("{key}:{}", data_encoding::BASE64.encode(&bytes)).try_into().unwrap()
}

/// A system (1) that needs 2 and 3; 2 needs 3, and 3 itself.
pub(crate) fn small() -> Closure {
    let paths = vec![entry(1, [2, 3]), entry(2, [3]), entry(3, [3])];
    Closure { schema: 1, toplevel: path(1), paths }
}

#[test]
fn what_is_packed_is_this_to_the_byte() {
    let text = String::from_utf8(small().to_bytes().unwrap()).unwrap();
    let begins = r#"{"schema":1,"toplevel":"/nix/store/00000000000000000000000000000001-p1","paths":[{"path":"/nix/store/00000000000000000000000000000001-p1","nar_hash":"sha256:0000000000000000000000000000000000000000000000000001","nar_size":121,"references":["/nix/store/00000000000000000000000000000002-p2","/nix/store/00000000000000000000000000000003-p3"],"signatures":["fleet-1:AQEB"#;
    assert!(text.starts_with(begins), "{text}");
    assert!(text.contains(r#","length":91,"compression":"zstd"}"#), "{text}");
    assert_eq!(Closure::parse(text.as_bytes()).unwrap(), small());
}

#[test]
fn nix_reads_what_is_said_of_a_path() {
    let said = entry(2, [3]).narinfo();
    let file = format!("nar/{}.nar.zst", Digest::of(&2_usize.to_le_bytes()));
    for line in [
        "StorePath: /nix/store/00000000000000000000000000000002-p2\n".to_owned(),
        format!("URL: {file}\n"),
        "Compression: zstd\n".into(),
        "NarSize: 122\n".into(),
        "References: 00000000000000000000000000000003-p3\n".into(),
        format!("Sig: {}\n", signature("fleet-1", 2).as_str()),
    ] {
        assert!(said.contains(&line), "{said}");
    }
}

#[test]
fn t004_unknown_and_duplicate_fields_are_refused_at_every_depth() {
    let text = String::from_utf8(small().to_bytes().unwrap()).unwrap();
    for (from, to) in [
        (r#""schema":1"#, r#""schema":1,"more":1"#),
        (r#""schema":1"#, r#""schema":1,"schema":1"#),
        (r#""nar_size":121"#, r#""nar_size":121,"nar_size":122"#),
        (r#""nar_size":121"#, r#""nar_size":121,"more":1"#),
        (r#""length":91"#, r#""length":91,"more":1"#),
        (r#""length":91"#, r#""length":91,"length":90"#),
        (r#""zstd""#, r#""xz""#),
    ] {
        assert!(text.contains(from), "{from}");
        let twisted = text.replacen(from, to, 1);
        let refused = Closure::parse(twisted.as_bytes());
        assert!(matches!(refused, Err(Error::Json(json::Error::Malformed(_)))), "{to}");
    }
    let newer = text.replacen(r#""schema":1"#, r#""schema":2"#, 1);
    let refused = Closure::parse(newer.as_bytes());
    assert!(matches!(refused, Err(Error::Json(json::Error::NewerSchema { .. }))));
}

#[test]
fn a_list_that_contradicts_itself_is_refused() {
    let cases: [fn(&mut Closure); 15] = [
        |c| c.toplevel = path(9),
        |c| c.paths.clear(),
        |c| c.paths.swap(0, 1),
        |c| c.paths.insert(1, c.paths[0].clone()),
        |c| drop(c.paths.pop()),
        |c| c.paths.push(entry(4, [])),
        |c| c.paths[0].references.swap(0, 1),
        |c| c.paths[0].references.insert(0, path(2)),
        |c| c.paths[1].references.push(path(9)),
        |c| c.paths[1].signatures.clear(),
        |c| c.paths[1].signatures = vec![signature("k", 1); 2],
        |c| c.paths[1].signatures = (0..9).map(|n| signature("k", n)).collect(),
        |c| c.paths[1].nar_size = NonZeroU64::new(MAX_NAR_BYTES + 1).unwrap(),
        |c| c.paths[1].file.length = NonZeroU64::new(MAX_FILE_BYTES + 1).unwrap(),
        |c| c.paths[1].file.sha256 = c.paths[0].file.sha256,
    ];
    for (number, spoil) in cases.into_iter().enumerate() {
        let mut closure = small();
        spoil(&mut closure);
        assert!(closure.to_bytes().is_err(), "case {number}");
        assert!(Closure::parse(&serde_json::to_vec(&closure).unwrap()).is_err(), "case {number}");
    }
}

#[test]
fn two_paths_may_have_one_content() {
    let mut closure = small();
    let Entry { nar_hash, nar_size, file, .. } = closure.paths[1].clone();
    let twin = Entry { nar_hash, nar_size, file, ..closure.paths[2].clone() };
    closure.paths[2] = twin;
    assert_eq!(Closure::parse(&closure.to_bytes().unwrap()).unwrap().files().len(), 2);
}

#[test]
fn what_is_too_large_is_not_read_and_not_written() {
    let paths = (1..=MAX_PATHS + 1).map(|n| entry(n, (n <= MAX_PATHS).then_some(n + 1)));
    let closure = Closure { schema: 1, toplevel: path(1), paths: paths.collect() };
    assert!(matches!(closure.to_bytes(), Err(Error::Invalid("it has too many paths"))));
    let endless = Closure::parse(&vec![b' '; MAX_BYTES + 1]);
    assert!(matches!(endless, Err(Error::Json(json::Error::TooLong { .. }))));

    let mut huge = small();
    for entry in &mut huge.paths {
        entry.nar_size = NonZeroU64::new(MAX_NAR_BYTES).unwrap();
    }
    assert!(huge.to_bytes().is_ok());
    let many = 1..=20;
    let paths = many
        .map(|n| Entry { nar_size: huge.paths[0].nar_size, ..entry(n, (n < 20).then_some(n + 1)) });
    let huge = Closure { schema: 1, toplevel: path(1), paths: paths.collect() };
    assert!(huge.to_bytes().is_err());
}

#[test]
fn hashes_and_signatures_have_one_form() {
    for bad in
        ["", "sha256:", "sha256-AAAA", &format!("sha256:{}", "e".repeat(52)), &"0".repeat(59)]
    {
        assert!(NarHash::try_from(bad.to_owned()).is_err(), "{bad}");
    }
    let bytes = data_encoding::BASE64.encode(&[7; 64]);
    for bad in [
        format!(":{bytes}"),
        bytes.clone(),
        format!("k y:{bytes}"),
        format!("k\n:{bytes}"),
        "k:AAAA".into(),
    ] {
        assert!(NarSignature::try_from(bad.clone()).is_err(), "{bad}");
    }
    assert_eq!(signature("fleet-1", 1).key(), "fleet-1");
}

/// A system, each of whose paths is needed by one that comes before it.
fn closures() -> impl Strategy<Value = Closure> {
    let edges = prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..40);
    (edges, any::<prop::sample::Index>()).prop_map(|(edges, again)| {
        let count = edges.len() + 1;
        let mut references = vec![BTreeSet::new(); count];
        for (at, (parent, itself)) in edges.iter().enumerate() {
            references[parent.index(at + 1)].insert(at + 2);
            if *itself {
                references[at + 1].insert(at + 2);
            }
        }
        references[again.index(count)].insert(count);
        let paths = references.into_iter().enumerate().map(|(at, to)| entry(at + 1, to));
        Closure { schema: 1, toplevel: path(1), paths: paths.collect() }
    })
}

proptest! {
    #[test]
    fn a_list_survives_its_bytes(closure in closures()) {
        let bytes = closure.to_bytes().unwrap();
        prop_assert_eq!(Closure::parse(&bytes).unwrap(), closure);
    }

    /// Whoever leaves out a path, or adds one, is found out.
    #[test]
    fn a_list_is_the_whole_closure_and_nothing_else(closure in closures(), at: prop::sample::Index) {
        let mut less = closure.clone();
        less.paths.remove(at.index(less.paths.len()));
        prop_assert!(less.to_bytes().is_err());
        let mut more = closure;
        more.paths.push(entry(more.paths.len() + 1, [1]));
        prop_assert!(more.to_bytes().is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        drop(Closure::parse(&bytes));
    }

    #[test]
    fn a_changed_byte_is_refused_or_said(closure in closures(), at: prop::sample::Index, to: u8) {
        let mut bytes = closure.to_bytes().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(read) = Closure::parse(&bytes) {
            prop_assert_eq!(Closure::parse(&read.to_bytes().unwrap()).unwrap(), read);
        }
    }
}
