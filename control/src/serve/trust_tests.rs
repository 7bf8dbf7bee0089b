//! The trust root changes while the control plane runs, as an admin sees it.

use floe_proto::pb::trust_client::TrustClient;
use floe_proto::root::Root;

use super::*;

impl Running {
    async fn publish_root(&self, root: &Root, signers: &[u8]) -> Result<u32, Status> {
        let request = pb::PublishRootRequest { root_envelope: signed(root, signers) };
        Ok(self.trust().await.publish_root(request).await?.into_inner().version)
    }

    async fn trust(&self) -> TrustClient<Channel> {
        TrustClient::new(self.channel(Some(self.admin())).await)
    }

    async fn start_rollout(&self, serial: u64) -> Result<pb::Rollout, Status> {
        let request = pb::StartRolloutRequest { role: "www".into(), serial, ..Default::default() };
        Ok(self.operator().await.start_rollout(request).await?.into_inner())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_key_that_is_taken_away_signs_nothing_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let begun = running.begin(envelope(1, 2)).await.unwrap();
    running.upload(&begun).await;
    running.finish(&begun.manifest_digest).await.unwrap();
    let unfinished = running.begin(envelope(2, 2)).await.unwrap();
    let rollout = running.start_rollout(1).await.unwrap();
    let request = pb::ShowRolloutRequest { rollout: rollout.id.clone() };
    let watched = running.operator().await.watch_rollout(request).await;
    let mut watched = watched.unwrap().into_inner();

    // Release key 2 gives way to 4.
    assert_eq!(running.publish_root(&root(2, &[1], &[4]), &[1]).await.unwrap(), 2);

    let mut last = watched.message().await.unwrap().unwrap();
    while let Some(next) = watched.message().await.unwrap() {
        last = next;
    }
    assert_eq!(last.state(), pb::RolloutState::Stopped);
    let expected = "version 2 of the trust root does not believe it: 0 of the trust root's \
                    release keys signed this, 1 must";
    assert_eq!(last.reasons, [expected]);
    assert_eq!(code(running.start_rollout(1).await), Code::FailedPrecondition);
    assert_eq!(code(running.begin(envelope(3, 2)).await), Code::FailedPrecondition);
    assert_eq!(
        code(running.finish(&unfinished.manifest_digest).await),
        Code::FailedPrecondition,
        "it was begun under the old one"
    );
    let begun = running.begin(envelope(3, 4)).await.unwrap();
    running.finish(&begun.manifest_digest).await.unwrap();
    running.start_rollout(3).await.unwrap();

    // After a restart with the old file the newest is still the newest.
    running.stop().await;
    let running = Running::start(dir.path()).await;
    assert_eq!(code(running.begin(envelope(4, 2)).await), Code::FailedPrecondition);
    running.begin(envelope(4, 4)).await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t013_the_control_plane_takes_the_next_version_only_and_shows_them_all() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let second = root(2, &[3], &[2]);
    assert_eq!(code(running.publish_root(&second, &[1]).await), Code::FailedPrecondition);
    assert_eq!(code(running.publish_root(&second, &[3]).await), Code::FailedPrecondition);
    let far = root(3, &[1], &[2]);
    let refused = running.publish_root(&far, &[1]).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("only the one after 1 can follow it"), "{refused}");
    for _ in 0..2 {
        assert_eq!(running.publish_root(&second, &[1, 3]).await.unwrap(), 2);
    }

    let shown = running.trust().await.show_roots(pb::ShowRootsRequest { after: 0 }).await;
    let shown = shown.unwrap().into_inner();
    let versions: Vec<_> =
        shown.roots.iter().map(|root| (root.version, root.publisher.as_str())).collect();
    assert_eq!((versions, shown.newest), (vec![(1, ""), (2, "admin")], 2));
    assert_eq!(shown.roots[0].root_envelope, trust_root());
    let above = running.trust().await.show_roots(pb::ShowRootsRequest { after: 2 }).await;
    assert_eq!(above.unwrap().into_inner().roots, []);
    running.stop().await;
}
