//! An identity on the disk that cannot be read any more.

use super::*;

impl World {
    /// What a disk, or an agent of before, may leave of the identity of `host`.
    fn save_broken(&self, host: &str) {
        self.save(host, 2999);
        let file = self.state.path().join("identity/certificate.der");
        let damaged = [fs::read(&file).unwrap(), b"junk".to_vec()].concat();
        fs::write(file, damaged).unwrap();
    }

    fn evidence(&self) -> Vec<String> {
        let files = fs::read_dir(self.state.path().join("identity.stray")).unwrap();
        let mut names: Vec<_> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn a_broken_identity_is_put_aside_and_a_token_makes_another() {
    let mut world = world("www.fossable.org", vec![]).await;
    world.save_broken("local-www-1");
    world.join_with("floe-join-1");
    let enrolled = in_time(obtain(&world.terms, Standing::Unknown)).await;
    assert_eq!(world.next_token().await, "floe-join-1");
    assert_eq!(enrolled.certificate, world.on_disk().unwrap().certificate);
    assert_eq!(world.evidence(), ["certificate.der", "host"]);
}

#[tokio::test]
async fn an_instance_whose_identity_is_broken_asks_by_its_document_with_one_key() {
    let waits = Status::failed_precondition("an operator has to approve it");
    let mut world = world("www.fossable.org", vec![waits]).await;
    world.save_broken(ITSELF);
    world.on_ec2(ITSELF).await;
    in_time(obtain(&world.terms, Standing::Unknown)).await;
    let (first, second) = (world.next_document().await, world.next_document().await);
    assert_eq!(key(&first), key(&second));
    assert_eq!(world.evidence(), ["certificate.der", "host"]);
}
