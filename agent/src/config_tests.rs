//! What `agent.toml` may say, and how everything that is wrong with one is told.

use super::*;

const LEAST: &str = r#"
    fleet = "fossable.org"
    role = "www.fossable.org"
    control_plane = "https://floe.fossable.org:7443/"
"#;

fn read(text: &str) -> Result<Config, Vec<String>> {
    Config::from_table(text.parse().unwrap())
}

#[test]
fn three_lines_are_enough() {
    let config = read(LEAST).unwrap();
    assert_eq!(config.control_plane, "https://floe.fossable.org:7443");
    assert_eq!(config.state_directory, Path::new("/var/lib/floe"));
    assert_eq!(config.attestation, Attestation::Token);
    assert_eq!(config.build_timeout, Duration::from_secs(3600));
}

#[test]
fn everything_can_be_said() {
    let config = read(&format!(
        r#"{LEAST}
        ca = "/a/ca.pem"
        trust_root = "/a/trust.json"
        attestation = "aws-iid"
        state_directory = "/a/state"
        nixos_rebuild = "/a/nixos-rebuild"
        system = "aarch64-linux"
        build_memory_max = "2G"
        build_timeout = "90m"
        min_free_bytes = 0
        gc_keep = 2
        gc_older_than = "14d"
        "#
    ))
    .unwrap();
    assert_eq!(config.attestation, Attestation::AwsIid);
    assert_eq!(config.system.as_deref(), Some("aarch64-linux"));
    assert_eq!(config.build_timeout, Duration::from_secs(90 * 60));
    assert_eq!(config.min_free_bytes, 0);
    assert_eq!((config.gc_keep, config.gc_older_than.as_secs()), (2, 14 * 86_400));
}

#[test]
fn every_fault_is_in_one_report() {
    let faults = read(
        r#"
        role = "WWW"
        control_plane = "http://x"
        ca = "ca.pem"
        attestation = "aws"
        nixos_rebuild = "bin/nixos-rebuild"
        system = "x86"
        build_memory_max = "101%"
        build_timeout = "0s"
        min_free_bytes = -1
        gc_keep = -1
        gc_older_than = "old"
        build_timout = "1h"
        "#,
    )
    .unwrap_err();
    let report = Faults(faults).to_string();
    for key in [
        "fleet",
        "role",
        "control_plane",
        "ca",
        "attestation",
        "nixos_rebuild",
        "system",
        "build_memory_max",
        "build_timeout",
        "min_free_bytes",
        "gc_keep",
        "gc_older_than",
        "build_timout",
    ] {
        assert!(report.contains(&format!("`{key}`")), "{key} in {report}");
    }
    assert_eq!(report.lines().count(), 14, "{report}");
}

#[test]
fn the_control_plane_is_reached_over_https_at_a_bare_address() {
    for bad in ["https://", "https://a/b", "https://a?b", "https://u@a", "ftp://a", "a:7443"] {
        let value = Value::String(bad.to_owned());
        assert!(control_plane(&value).is_err(), "{bad}");
    }
}
