use super::*;

const FILTER: &str = "[source_ami_filter]\nowners = ['427812963091']\nmost_recent = true\n\
                      [source_ami_filter.filters]\nname = 'nixos/24.11.*-aarch64-linux'\n\
                      root-device-type = 'ebs'\nvirtualization-type = 'hvm'\n'tag:a' = 'b'\n";

const LEAST: &str =
    "ami_name = 'www-{{ timestamp }}'\ninstance_type = 't4g.large'\nregion = 'us-east-2'\n";

fn checked(text: &str) -> (Option<ImageFile>, Vec<String>) {
    let mut faults = Faults::default();
    let image = toml::from_str::<RawImage>(text).unwrap().checked(&mut faults);
    (image, faults.sentences())
}

#[test]
fn what_packer_was_told_can_be_said() {
    let (image, faults) = checked(&format!("{LEAST}{FILTER}"));
    assert_eq!(faults, [""; 0]);
    let SourceImage::Filter(filter) = image.unwrap().source else { panic!("no filter") };
    assert_eq!((filter.filters.len(), filter.most_recent), (4, true));
    let (image, _) = checked(&format!("{LEAST}source_ami = 'ami-0123456789abcdef0'"));
    assert!(matches!(image.unwrap().source, SourceImage::Id(_)));
}

#[test]
fn every_option_that_ec2_would_refuse_is_named_at_once() {
    let text = format!("{LEAST}{FILTER}")
        .replace("www-{{", "w*w-{{")
        .replace("t4g.large", "t4g large")
        .replace("us-east-2", "us-east-2a")
        .replace("['427812963091']", "['NixOS', 'self']")
        .replace("root-device-type", "root_device_type")
        + "[tags]\n'aws:x' = 'y'\n";
    let (image, faults) = checked(&text);
    assert_eq!(image, None);
    insta::assert_snapshot!(faults.join("\n"));
}

#[test]
fn there_is_one_source_and_it_has_an_owner() {
    let faults = |text: &str| checked(&format!("{LEAST}{text}")).1.join("\n");
    assert!(faults("").contains("exactly one of"));
    assert!(faults(&format!("source_ami = 'ami-01234567'\n{FILTER}")).contains("exactly one of"));
    let nobody = FILTER.replace("['427812963091']", "[]");
    assert!(faults(&nobody).contains("anybody can give"));
}

#[test]
fn a_name_is_judged_without_what_is_filled_in() {
    for good in ["www", "{{ timestamp }}", "a/b (c) [d]-{{ x }}-'@_."] {
        assert_eq!(name_fault(good), None, "{good}");
    }
    for bad in ["", "ab", "a{{ x", "a:b", &"n".repeat(129), "a{{x}}}"] {
        assert!(name_fault(bad).is_some(), "{bad}");
    }
}
