//! Each rule on its own, at its edge.

use super::super::iid::Certificates;
use super::super::played::{self, AWS};
use super::*;

fn policy() -> Policy {
    Policy {
        accounts: ["123456789012".parse().unwrap()].into(),
        regions: ["eu-central-1".parse().unwrap()].into(),
        metadata: Metadata::Guarded,
    }
}

fn started() -> Timestamp {
    "2026-11-22T20:28:00Z".parse().unwrap()
}

fn signed() -> Document {
    let mut certificates = Certificates::bundled().unwrap();
    certificates.trust(&"eu-central-1".parse().unwrap(), AWS.pem.as_bytes()).unwrap();
    let document = played::document("i-0123456789abcdef0", &started().to_string());
    certificates.open(&AWS.sign(&document)).unwrap()
}

fn described() -> Instance {
    played::instance("i-0123456789abcdef0", started())
}

fn after(seconds: i64) -> Timestamp {
    Timestamp::from_micros(started().as_micros() + seconds * 1_000_000)
}

#[test]
fn t067_a_document_is_good_for_a_quarter_of_an_hour() {
    let at = |seconds| document(&signed(), &policy(), after(seconds));
    assert_eq!(at(14 * 60 + 59), Ok(vec![]));
    assert_eq!(at(15 * 60), Ok(vec![]));
    assert_eq!(at(15 * 60 + 1), Ok(vec![Doubt::Old]));
    assert_eq!(at(-60), Ok(vec![]));
    assert_eq!(at(-61), Err(Refusal::Future));
}

#[test]
fn who_is_of_another_account_or_region_is_refused() {
    let none = Policy::default();
    assert!(matches!(document(&signed(), &none, started()), Err(Refusal::Account { .. })));
    let elsewhere = Policy { regions: ["us-east-1".parse().unwrap()].into(), ..policy() };
    assert!(matches!(document(&signed(), &elsewhere, started()), Err(Refusal::Region { .. })));
}

#[test]
fn t074_aws_has_to_know_exactly_this_instance_running() {
    let look = |found: &[Instance]| instance(&signed(), found, &policy());
    let other = |what| Err(Refusal::Other { what });
    assert_eq!(look(&[described()]), Ok(vec![]));
    assert_eq!(look(&[]), Err(Refusal::Unknown));
    assert_eq!(look(&[described(), described()]), Err(Refusal::Several));
    assert_eq!(look(&[Instance { running: false, ..described() }]), Err(Refusal::NotRunning));
    let id = "i-0ffffffffffffffff".to_owned();
    assert_eq!(look(&[Instance { id, ..described() }]), other("instance id"));
    let image = "ami-0ffffffffffffffff".to_owned();
    assert_eq!(look(&[Instance { image, ..described() }]), other("image"));
    let account = "210987654321".to_owned();
    assert_eq!(look(&[Instance { account, ..described() }]), other("account"));
}

#[test]
fn t074_what_is_odd_about_an_instance_is_for_an_operator() {
    let look = |found: Instance| instance(&signed(), &[found], &policy()).unwrap();
    let v1 = Instance { answers_without_token: true, ..described() };
    assert_eq!(look(v1.clone()), [Doubt::AnswersWithoutToken]);
    assert_eq!(look(Instance { hop_limit: 2, ..described() }), [Doubt::AnswersFar]);
    let late = |seconds| Instance { root_attached: Some(after(seconds)), ..described() };
    assert_eq!(look(late(60)), []);
    assert_eq!(look(late(61)), [Doubt::OtherVolume]);
    assert_eq!(look(Instance { network_attached: None, ..described() }), [Doubt::OtherVolume]);
    let restarted = |seconds| Instance { launched: Some(after(seconds)), ..described() };
    assert_eq!(look(restarted(60)), []);
    assert_eq!(look(restarted(61)), [Doubt::OtherStart]);
    assert_eq!(look(restarted(-61)), [Doubt::OtherStart]);
    let any = Policy { metadata: Metadata::Any, ..policy() };
    assert_eq!(instance(&signed(), &[v1], &any), Ok(vec![]));
}
