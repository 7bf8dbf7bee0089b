//! Tests of the whole with files that nobody can read.

use proptest::prelude::*;

use super::tests::planned;

#[test]
fn what_is_broken_stops_the_import_with_file_and_line() {
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[("web.pkr.hcl", "source \"a\" \"b\" {\n  x = \n}\n")], "`web.pkr.hcl` line 2 is no HCL"),
        (
            &[("playbook.yml", "- hosts: x\n  tasks:\n   - a\n  - b\n")],
            "`playbook.yml` line 4 is no YAML",
        ),
        (&[("web.pkr.json", "{\"source\": [}")], "`web.pkr.json` line 1 is no YAML"),
        (&[("group_vars/all/vars.yml", "a: [\n")], "`group_vars/all/vars.yml` line"),
        (&[("README.md", "x")], "neither a configuration.nix nor"),
    ];
    for (files, expected) in cases {
        let error = planned("a.org", files).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.advice().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_in_any_file_is_planned_or_refused(
        hcl in "[a-c{}=\"$(<?:\\[\\] \n]{0,80}",
        yml in "(- |  |hosts: |tasks:\n|copy: |\\{|\\}|\\[|a|\n|&a |\\*a){0,40}",
        nix in "[a-c{}\\[\\]\"'$#%=.; \n]{0,80}",
    ) {
        let files = [
            ("web.pkr.hcl", hcl.as_str()),
            ("playbook.yml", yml.as_str()),
            ("inventory.yml", yml.as_str()),
            ("hosts/www/configuration.nix", nix.as_str()),
        ];
        let _ = planned("a.org", &files);
    }
}
