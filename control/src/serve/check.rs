//! Whether a control plane could start with a configuration, by what can be known without
//! its data and its network: also where a system is built for another machine.

use super::config::ServeConfig;
use super::listen::Error;
use super::{aws, port};
use crate::trust::roots;

/// Looks at the trust root, the URLs and the certificates of AWS; changes nothing.
///
/// # Errors
///
/// What would keep [`super::serve`] from starting.
pub async fn check(config: &ServeConfig) -> Result<(), Error> {
    roots::pinned(&config.fleet, &config.trust_root).map_err(Error::Trust)?;
    let grpc = port::url_of("gRPC", config.listen, config.public_url.as_deref())?;
    let objects = port::url_of("objects", config.objects_listen, config.objects_url.as_deref())?;
    for url in [&grpc, &objects] {
        port::host(url)?;
    }
    if !config.aws.policy.accounts.is_empty() {
        aws::certificates(&config.aws).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::testing::{root, signed};

    fn config(change: impl FnOnce(&mut ServeConfig)) -> ServeConfig {
        let root = root(1, &[1], &[2]);
        let file = signed(&root, &[1]);
        let mut config = ServeConfig::new("/nowhere".into(), root.fleet, file);
        change(&mut config);
        config
    }

    async fn fault(change: impl FnOnce(&mut ServeConfig)) -> String {
        check(&config(change)).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn the_defaults_could_start() {
        check(&config(|_| {})).await.unwrap();
    }

    #[tokio::test]
    async fn what_could_not_start_says_why() {
        let other = fault(|config| config.fleet = "other.org".parse().unwrap()).await;
        assert!(other.contains("other.org"), "{other}");
        let forged = fault(|config| config.trust_root = b"{}".to_vec()).await;
        assert!(forged.contains("trust root"), "{forged}");
        let everywhere = fault(|config| config.listen = ([0, 0, 0, 0], 7443).into()).await;
        assert!(everywhere.contains("needs a URL"), "{everywhere}");
        let plain = fault(|config| config.objects_url = Some("http://x".into())).await;
        assert!(plain.contains("`http://x` is no URL"), "{plain}");
    }
}
