//! What a manifest may say, to the byte; and what it may not (catalogue T004).

use super::*;
use crate::reboot::Policy;

/// A manifest in which everything is said.
pub(crate) fn full() -> Manifest {
    let check = |probe| Check { probe, timeout_seconds: 5 };
    Manifest {
        schema: 1,
        fleet: "fossable.org".parse().unwrap(),
        role: "www.fossable.org".parse().unwrap(),
        epoch: Epoch::new(0),
        serial: 42.try_into().unwrap(),
        floor: 40.try_into().unwrap(),
        payload: Payload { sha256: Digest::of(b"payload"), length: NonZeroU64::new(7).unwrap() },
        created: "2026-11-22T20:28:00Z".parse().unwrap(),
        expires: "2027-02-20T20:28:00Z".parse().unwrap(),
        kind: Kind::Configuration,
        system: "aarch64-linux".into(),
        min_agent: AgentVersion::new(0, 1, 0),
        entry: "role/configuration.nix".to_owned().try_into().unwrap(),
        activation: Activation {
            mode: Mode::TestThenCommit,
            deadline_seconds: 90,
            ignore_units: vec!["report.service".into()],
            reboot: Reboot::default(),
        },
        health: Health {
            soak_seconds: 10,
            checks: vec![
                check(Probe::Unit { name: "nginx.service".into() }),
                check(Probe::Http { url: "http://127.0.0.1/".into(), status: 200 }),
                check(Probe::Tcp { address: "127.0.0.1:22".parse().unwrap() }),
                check(Probe::Command { argv: vec!["/bin/true".into()] }),
            ],
        },
        source: Source { revision: Some("abc".into()), dirty: false, built_by: "ada@lap".into() },
    }
}

#[test]
fn what_is_signed_is_this_to_the_byte() {
    insta::assert_snapshot!(String::from_utf8(full().to_bytes().unwrap()).unwrap());
}

#[test]
fn what_is_signed_of_a_flake_is_this_to_the_byte() {
    insta::assert_snapshot!(String::from_utf8(of_a_flake().to_bytes().unwrap()).unwrap());
}

#[test]
fn a_manifest_survives_its_bytes() {
    assert_eq!(Manifest::parse(&full().to_bytes().unwrap()).unwrap(), full());
}

#[test]
fn t004_unknown_and_duplicate_fields_are_refused_at_every_depth() {
    let text = String::from_utf8(full().to_bytes().unwrap()).unwrap();
    for (from, to) in [
        (r#""schema":1"#, r#""schema":1,"more":1"#),
        (r#""schema":1"#, r#""schema":1,"schema":1"#),
        (r#""length":7"#, r#""length":7,"length":8"#),
        (r#""name":"nginx.service""#, r#""name":"nginx.service","name":"x.service""#),
        (r#""name":"nginx.service""#, r#""name":"nginx.service","more":1"#),
        (r#""length":7"#, r#""length":7,"more":1"#),
        (r#""soak_seconds":10"#, r#""soak_seconds":10,"more":1"#),
        (r#""deadline_seconds":90"#, r#""deadline_seconds":90,"more":1"#),
        (r#""timeout_seconds":5"#, r#""timeout_seconds":5,"more":1"#),
        (r#""dirty":false"#, r#""dirty":false,"more":1"#),
        (r#"{"unit":"#, r#"{"tcp":{"address":"127.0.0.1:1"},"unit":"#),
    ] {
        assert!(text.contains(from), "{from}");
        let twisted = text.replacen(from, to, 1);
        // Refused by the types themselves, not only as something that floe would not write.
        let refused = Manifest::parse(twisted.as_bytes());
        assert!(matches!(refused, Err(Error::Json(json::Error::Malformed(_)))), "{to}");
    }
}

/// What schema 2 brought.
fn rebooting() -> Manifest {
    let mut manifest = full();
    manifest.schema = 2;
    manifest.activation.reboot =
        Reboot { policy: Policy::IfNeeded, window: "02:00-04:00".parse().ok() };
    manifest
}

/// What schema 3 brought.
pub(crate) fn built() -> Manifest {
    let entry = closure::FILE.to_owned().try_into().unwrap();
    Manifest { schema: 3, kind: Kind::Closure, entry, ..full() }
}

/// What schema 4 brought.
pub(crate) fn of_a_flake() -> Manifest {
    Manifest { schema: 4, entry: Entry::Flake("www".parse().unwrap()), ..full() }
}

#[test]
fn each_schema_says_what_it_can_to_the_byte() {
    let text = String::from_utf8(rebooting().to_bytes().unwrap()).unwrap();
    let said = r#""reboot":{"policy":"if-needed","window":"02:00-04:00"}"#;
    assert!(text.contains(said), "{text}");
    assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), rebooting());
    let text = String::from_utf8(built().to_bytes().unwrap()).unwrap();
    assert!(text.contains(r#""kind":"closure""#), "{text}");
    assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), built());
    let text = String::from_utf8(of_a_flake().to_bytes().unwrap()).unwrap();
    assert!(text.contains(r#""entry":{"flake":"www"},"#), "{text}");
    assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), of_a_flake());
    // Neither a newer number than need be, nor a field that its number does not know.
    for manifest in [
        Manifest { schema: 2, ..full() },
        Manifest { schema: 1, ..rebooting() },
        Manifest { schema: 3, ..rebooting() },
        Manifest { schema: 2, ..built() },
        Manifest { schema: 4, ..full() },
        Manifest { schema: 3, ..of_a_flake() },
        Manifest { schema: 1, ..of_a_flake() },
    ] {
        assert!(manifest.to_bytes().is_err());
        assert!(Manifest::parse(&serde_json::to_vec(&manifest).unwrap()).is_err());
    }
}

#[test]
fn a_manifest_that_contradicts_itself_is_refused() {
    let cases: [fn(&mut Manifest); 14] = [
        |m| m.floor = 43.try_into().unwrap(),
        |m| m.expires = m.created,
        |m| m.system = "x86".into(),
        |m| m.activation.deadline_seconds = 0,
        |m| m.health.soak_seconds = 90,
        |m| m.health.checks[0].probe = Probe::Unit { name: "--now".into() },
        |m| m.health.checks[1].probe = Probe::Http { url: "https://x/".into(), status: 200 },
        |m| m.health.checks[3].probe = Probe::Command { argv: vec![] },
        |m| m.health.checks[0].timeout_seconds = 91,
        |m| m.entry = built().entry,
        |m| *m = Manifest { entry: m.entry.clone(), ..built() },
        |m| *m = Manifest { entry: of_a_flake().entry, ..built() },
        |m| {
            *m = built();
            m.payload.length = NonZeroU64::new(closure::MAX_PACKED_BYTES + 1).unwrap();
        },
        |m| {
            *m = rebooting();
            m.activation.reboot.policy = Policy::Never;
        },
    ];
    for spoil in cases {
        let mut manifest = full();
        spoil(&mut manifest);
        assert!(manifest.to_bytes().is_err(), "{manifest:?}");
    }
}
