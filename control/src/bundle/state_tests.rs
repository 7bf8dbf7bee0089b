//! What may be said again, and what not.

use super::*;

const OLDER: &str = r#"{"schema":1,"fleet":"fossable.org","role":"www","epoch":0,
    "serial":4,"floor":2,"payload":{"sha256":
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","length":2048},
    "created":"2026-11-22T20:28:00Z","expires":"2027-02-20T20:28:00Z",
    "kind":"configuration","system":"aarch64-linux","min_agent":"0.1.0",
    "entry":"role/configuration.nix","activation":{"mode":"test-then-commit",
    "deadline_seconds":90,"ignore_units":[]},"health":{"soak_seconds":10,"checks":[
    {"probe":{"unit":{"name":"nginx.service"}},"timeout_seconds":5}]},
    "source":{"revision":"abc","dirty":true,"built_by":"ada@laptop"}}"#;

pub(crate) fn older() -> Manifest {
    Manifest::parse(OLDER.as_bytes()).unwrap()
}

fn statement(valid_for: &str, floor: u64) -> Statement {
    Statement {
        serial: 7.try_into().unwrap(),
        floor: floor.try_into().unwrap(),
        now: "2026-12-01T00:00:00.5Z".parse().unwrap(),
        valid_for: valid_for.parse().unwrap(),
        built_by: "bob@desk".into(),
    }
}

#[test]
fn t030_an_older_payload_is_said_again_as_it_was_under_a_new_number() {
    let again = again(&older(), statement("30d", 3), Epoch::new(0)).unwrap();
    assert_eq!((again.serial.get(), again.floor.get()), (7, 3));
    assert_eq!(again.created.to_string(), "2026-12-01T00:00:00Z");
    assert_eq!(again.expires.to_string(), "2026-12-31T00:00:00Z");
    assert_eq!((again.payload, &again.health), (older().payload, &older().health));
    // What it was made of stays; who signs for it is somebody else.
    assert_eq!(again.source.revision, older().source.revision);
    assert_eq!((again.source.dirty, again.source.built_by.as_str()), (true, "bob@desk"));
}

#[test]
fn t149_what_is_valid_for_years_or_lies_below_its_own_floor_is_not_signed() {
    let refused = |valid_for, floor| again(&older(), statement(valid_for, floor), Epoch::new(0));
    assert!(matches!(refused("367d", 1), Err(Error::TooLong { .. })));
    assert!(matches!(refused("90d", 8), Err(Error::FloorTooHigh { .. })));
    assert!(refused("366d", 7).is_ok());
}
