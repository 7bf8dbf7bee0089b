//! EC2's query API, as far as floe asks: DescribeInstances by id.
//!
//! Amazon EC2 API Reference, "DescribeInstances" (its example response) and "Error codes
//! for the Amazon EC2 API" (InvalidInstanceID.NotFound is 400, RequestLimitExceeded 503).
//! Who asks is not checked: that is IAM's.

use std::fmt::Write as _;

use super::cloud::{Instance, State};
use super::document::seconds;
use super::http::{Answer, Asked};

pub(super) fn answer(state: &State, asked: &Asked) -> Answer {
    if let Some(code) = state.trouble {
        return error(503, code);
    }
    let field = |name: &str| {
        let mut fields = asked.body.split('&').filter_map(|field| field.split_once('='));
        fields.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    match (field("Action"), field("InstanceId.1")) {
        (Some("DescribeInstances"), Some(id)) => {
            match state.instances.iter().find(|instance| instance.id == id) {
                Some(instance) => (200, described(instance)),
                None => error(400, "InvalidInstanceID.NotFound"),
            }
        }
        _ => error(400, "InvalidAction"),
    }
}

fn described(instance: &Instance) -> String {
    let Instance { id, account, image, state, .. } = instance;
    let launched = seconds(instance.launched);
    let code = match state.as_str() {
        "pending" => 0,
        "running" => 16,
        "terminated" => 48,
        _ => 80,
    };
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    let _ = write!(
        xml,
        "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
         <requestId>8f7724cf-496f-496e-8fe3-example</requestId><reservationSet><item>\
         <reservationId>r-1234567890abcdef0</reservationId><ownerId>{account}</ownerId><groupSet/>\
         <instancesSet><item><instanceId>{id}</instanceId><imageId>{image}</imageId>\
         <instanceState><code>{code}</code><name>{state}</name></instanceState>\
         <instanceType>t3.micro</instanceType><launchTime>{launched}</launchTime>\
         <architecture>x86_64</architecture><rootDeviceType>ebs</rootDeviceType>\
         <rootDeviceName>/dev/xvda</rootDeviceName><blockDeviceMapping><item>\
         <deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-1234567890abcdef0</volumeId>\
         <status>attached</status><attachTime>{launched}</attachTime>\
         <deleteOnTermination>true</deleteOnTermination></ebs></item></blockDeviceMapping>\
         <virtualizationType>hvm</virtualizationType><networkInterfaceSet><item>\
         <networkInterfaceId>eni-1234567890abcdef0</networkInterfaceId><status>in-use</status>\
         <attachment><attachmentId>eni-attach-1</attachmentId><deviceIndex>0</deviceIndex>\
         <status>attached</status><attachTime>{launched}</attachTime>\
         <deleteOnTermination>true</deleteOnTermination></attachment></item></networkInterfaceSet>\
         <metadataOptions><state>applied</state><httpTokens>required</httpTokens>\
         <httpPutResponseHopLimit>1</httpPutResponseHopLimit><httpEndpoint>enabled</httpEndpoint>\
         </metadataOptions></item></instancesSet></item></reservationSet>\
         </DescribeInstancesResponse>"
    );
    xml
}

fn error(status: u16, code: &str) -> Answer {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Errors><Error><Code>{code}</Code>\
         <Message>played</Message></Error></Errors>\
         <RequestID>ea966190-f9aa-478e-9ede-example</RequestID></Response>"
    );
    (status, xml)
}
