//! What EC2's API answers, and what becomes of it.

use super::*;
use crate::enrol::played::{Ec2Api, described};

const ID: &str = "i-0123456789abcdef0";

async fn ask(api: &Ec2Api) -> Result<Vec<Instance>, Unavailable> {
    let ec2 = api.client().await;
    ec2.describe(&"eu-central-1".parse().unwrap(), &ID.parse().unwrap()).await
}

#[tokio::test]
async fn what_aws_says_of_an_instance_is_read() {
    let started: Timestamp = "2026-11-22T20:28:00Z".parse().unwrap();
    let api = Ec2Api::start().await;
    api.say(200, described(ID, started));
    let expected = crate::enrol::played::instance(ID, started);
    assert_eq!(ask(&api).await.unwrap(), [expected]);
    assert!(api.asked().contains("InstanceId.1=i-0123456789abcdef0"), "{}", api.asked());

    api.say(200, described(ID, started).replace("required", "optional"));
    assert!(ask(&api).await.unwrap()[0].answers_without_token);
    api.say(200, described(ID, started).replace("running", "shutting-down"));
    assert!(!ask(&api).await.unwrap()[0].running);
    // What is not said is not taken for well.
    api.say(200, described(ID, started).replace("metadataOptions", "other"));
    let found = ask(&api).await.unwrap();
    assert!(found[0].answers_without_token && found[0].hop_limit == 0);
}

#[tokio::test]
async fn t074_an_instance_that_aws_does_not_know_is_an_empty_answer() {
    let api = Ec2Api::start().await;
    api.fail(400, "InvalidInstanceID.NotFound");
    assert_eq!(ask(&api).await.unwrap(), []);
}

#[tokio::test]
async fn t075_where_aws_cannot_be_asked_nobody_is_let_in() {
    let api = Ec2Api::start().await;
    for (status, code) in [
        (503, "RequestLimitExceeded"),
        (500, "InternalError"),
        (403, "UnauthorizedOperation"),
        (401, "AuthFailure"),
    ] {
        api.fail(status, code);
        assert!(ask(&api).await.is_err(), "{code}");
    }
    api.say(200, "this is no XML".to_owned());
    assert!(ask(&api).await.is_err());
    let gone = api.client().await;
    drop(api);
    let (region, id) = ("eu-central-1".parse().unwrap(), ID.parse().unwrap());
    assert!(gone.describe(&region, &id).await.is_err());
}
