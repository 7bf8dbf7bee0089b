use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;

use super::*;

struct World {
    dir: tempfile::TempDir,
    environment: Environment,
    own: Recipient,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (identity, path) = (Identity::generate(), dir.path().join("identity.txt"));
        let text = format!("# mine\n{}\n", identity.to_string().expose_secret());
        fs::write(&path, text).unwrap();
        let environment = Environment { age_identity: Some(path), ..Default::default() };
        Self { dir, environment, own: identity.to_public() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn decrypt(&self, name: &str) -> Result<Vec<u8>, Error> {
        decrypt(&self.path(name), &self.environment).map(|bytes| bytes.to_vec())
    }
}

#[test]
fn a_file_is_decrypted_armoured_or_not() {
    let world = World::new();
    let (path, to) = (|name| world.path(name), &world.own);
    fs::write(path("armoured"), age::encrypt_and_armor(to, b"k\0ey\n").unwrap()).unwrap();
    fs::write(path("binary"), age::encrypt(to, b"k\0ey\n").unwrap()).unwrap();
    for name in ["armoured", "binary"] {
        assert_eq!(world.decrypt(name).unwrap(), b"k\0ey\n", "{name}");
        assert!(is_age(&path(name)).unwrap());
    }
}

#[test]
fn what_cannot_be_had_is_named() {
    let mut world = World::new();
    let path = |name: &str| world.dir.path().join(name);
    let other = Identity::generate().to_public();
    fs::write(path("other"), age::encrypt(&other, b"x").unwrap()).unwrap();
    fs::write(path("clear"), "hunter2").unwrap();
    fs::write(path("long"), age::encrypt(&world.own, &vec![b'x'; 200_000]).unwrap()).unwrap();
    let error = |world: &World, name| world.decrypt(name).unwrap_err();
    assert!(matches!(error(&world, "other"), Error::Decrypt { .. }));
    assert!(matches!(error(&world, "clear"), Error::Decrypt { .. }));
    assert!(!is_age(&path("clear")).unwrap());
    assert!(matches!(error(&world, "gone"), Error::Read { .. }));
    assert!(matches!(error(&world, "long"), Error::TooLong { .. }));
    world.environment.age_identity = None;
    assert!(matches!(error(&world, "other"), Error::NoIdentity { .. }));
}

#[test]
fn what_is_encrypted_is_read_again_and_keeps_its_format() {
    let world = World::new();
    let to = [world.own.clone(), Identity::generate().to_public()];
    fs::write(world.path("binary"), age::encrypt(&world.own, b"old").unwrap()).unwrap();
    for (name, begins) in [("binary", BINARY), ("new/armoured", ARMOUR)] {
        let encrypted = encrypt(&world.path(name), b"new\0", &to, &world.environment).unwrap();
        encrypted.write().unwrap();
        assert_eq!(world.decrypt(name).unwrap(), b"new\0");
        assert!(fs::read(world.path(name)).unwrap().starts_with(begins), "{name}");
    }
}

#[test]
fn nobody_shuts_himself_out() {
    let world = World::new();
    let encrypt = |to: &[Recipient]| encrypt(&world.path("x"), b"x", to, &world.environment);
    assert!(matches!(encrypt(&[]), Err(Error::NoRecipients { .. })));
    let other = [Identity::generate().to_public()];
    assert!(matches!(encrypt(&other), Err(Error::NotForYou { .. })));
}
