//! EC2's API: DescribeInstances, bounded in time and number.
//!
//! Whatever goes wrong is [`Unavailable`]: who asks is refused for now, and may try
//! again. That AWS does not know an instance is an answer, an empty one.

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::Credentials;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use aws_sdk_ec2::error::ProvideErrorMetadata as _;
use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::{self, HttpTokensState, InstanceStateName};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use floe_proto::id::HostId;
use floe_proto::time::Timestamp;
use tokio::sync::Semaphore;

use crate::enrol::instance::{Instance, Instances, Region, Unavailable};

/// EC2's API in every region. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ec2 {
    sdk: SdkConfig,
    at_once: Arc<Semaphore>,
}

impl Ec2 {
    /// Nothing is sent yet. `endpoint` is asked instead of AWS's own, for all regions; it
    /// gets no credentials of AWS, but made up ones.
    pub async fn new(endpoint: Option<&str>) -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(3))
            .operation_timeout(Duration::from_secs(8))
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            // Each call names its own.
            .region(aws_config::Region::from_static("us-east-1"));
        if let Some(endpoint) = endpoint {
            let made_up = Credentials::new("floe", "floe", None, None, "floe");
            loader = loader.endpoint_url(endpoint).credentials_provider(made_up);
        }
        Self { sdk: loader.load().await, at_once: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    fn client(&self, region: &Region) -> Client {
        let region = aws_sdk_ec2::config::Region::new(region.as_str().to_owned());
        let config = aws_sdk_ec2::config::Builder::from(&self.sdk).region(region).build();
        Client::from_conf(config)
    }
}

impl Instances for Ec2 {
    async fn describe(
        &self,
        region: &Region,
        instance: &HostId,
    ) -> Result<Vec<Instance>, Unavailable> {
        // AWS limits how often it may be asked: who floods us does not use that up.
        let _permit = self.at_once.try_acquire().map_err(|error| Unavailable(error.into()))?;
        let asked = self.client(region).describe_instances().instance_ids(instance.as_str());
        match asked.send().await {
            Ok(said) => Ok(said
                .reservations()
                .iter()
                .flat_map(|reservation| {
                    let owner = reservation.owner_id().unwrap_or_default();
                    reservation.instances().iter().map(move |instance| described(instance, owner))
                })
                .collect()),
            Err(error) if error.code().is_some_and(|code| UNKNOWN.contains(&code)) => {
                Ok(Vec::new())
            }
            Err(error) => Err(Unavailable(Box::new(error))),
        }
    }
}

fn described(instance: &types::Instance, owner: &str) -> Instance {
    let root = instance.block_device_mappings().iter().find(|volume| {
        volume.device_name().is_some() && volume.device_name() == instance.root_device_name()
    });
    let root_attached = root.and_then(|volume| volume.ebs()?.attach_time());
    let network = instance.network_interfaces().iter().find_map(|interface| {
        interface.attachment().filter(|attachment| attachment.device_index() == Some(0))
    });
    let state = instance.state().and_then(|state| state.name());
    let metadata = instance.metadata_options();
    Instance {
        id: instance.instance_id().unwrap_or_default().to_owned(),
        account: owner.to_owned(),
        image: instance.image_id().unwrap_or_default().to_owned(),
        running: matches!(state, Some(InstanceStateName::Pending | InstanceStateName::Running)),
        launched: instance.launch_time().map(timestamp),
        // What AWS does not say is not taken for well.
        answers_without_token: metadata.and_then(|options| options.http_tokens())
            != Some(&HttpTokensState::Required),
        hop_limit: metadata
            .and_then(|options| options.http_put_response_hop_limit())
            .unwrap_or_default(),
        root_attached: root_attached.map(timestamp),
        network_attached: network.and_then(|network| network.attach_time()).map(timestamp),
    }
}

fn timestamp(time: &DateTime) -> Timestamp {
    Timestamp::from_micros(time.secs().saturating_mul(1_000_000))
}

/// "Error codes for the Amazon EC2 API": there is no such instance.
const UNKNOWN: [&str; 2] = ["InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"];
/// With the first.
const ATTEMPTS: u32 = 2;
const AT_ONCE: usize = 16;

#[cfg(test)]
#[path = "ec2_tests.rs"]
mod tests;
