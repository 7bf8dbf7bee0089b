//! `identity/` in the state directory: what is on the disk, whole or not at all.
//!
//! The certificate is the last file to be written: with it there is an identity,
//! without it there is at most a key that waits for one. Everything is readable by
//! root alone. Only the newest certificate is kept, never one of another key.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use floe_proto::id::HostId;
use floe_proto::transport;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::durable;

/// PKCS#8, DER.
const KEY: &str = "key.der";

/// Who the certificate is for, as text.
const HOST: &str = "host";

/// X.509, DER.
const CERTIFICATE: &str = "certificate.der";

/// The directory beside, for what a copied disk brought along.
const STRAY: &str = "identity.stray";

/// A machine that is a host.
pub struct Enrolled {
    /// Which one.
    pub host: HostId,
    /// What it shows of itself.
    pub identity: transport::Identity,
}

/// The directory with the identity.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// The store in `state_directory`. Touches nothing.
    pub fn new(state_directory: &Path) -> Self {
        Self { directory: state_directory.join("identity") }
    }

    /// The identity, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Disk`], and [`Error::Broken`] for files that do not fit together.
    pub fn load(&self) -> Result<Option<Enrolled>, Error> {
        let Some(certificate) = self.read(CERTIFICATE)? else { return Ok(None) };
        let broken = |what| Error::Broken { directory: self.directory.clone(), what };
        let host = self.read(HOST)?.ok_or_else(|| broken("it names no host"))?;
        let host = std::str::from_utf8(&host).ok().and_then(|host| host.trim_end().parse().ok());
        let host = host.ok_or_else(|| broken("its host is no host id"))?;
        let key = self.read(KEY)?.ok_or_else(|| broken("there is no key"))?;
        let identity = transport::Identity {
            chain: vec![CertificateDer::from(certificate.to_vec())],
            key: PrivatePkcs8KeyDer::from(key.to_vec()).into(),
        };
        Ok(Some(Enrolled { host, identity }))
    }

    /// This machine's key, made and stored now if it is the first time.
    ///
    /// # Errors
    ///
    /// [`Error::Disk`], [`Error::Key`] where none can be made, and [`Error::Broken`]
    /// for a file that is no key.
    pub(super) fn key(&self) -> Result<KeyPair, Error> {
        if let Some(der) = self.read(KEY)? {
            let der = PrivatePkcs8KeyDer::from(der.as_slice());
            let what = "its key is no P-256 key";
            return KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256)
                .map_err(|_| Error::Broken { directory: self.directory.clone(), what });
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Error::Key)?;
        self.write(KEY, &Zeroizing::new(key.serialize_der()))?;
        Ok(key)
    }

    /// Stores the certificate of [`Self::key`]. Afterwards there is an identity.
    ///
    /// # Errors
    ///
    /// [`Error::Disk`]; then there is no identity yet, or the one that was before.
    pub(super) fn save(&self, host: &HostId, certificate: &[u8]) -> Result<(), Error> {
        self.write(HOST, format!("{host}\n").as_bytes())?;
        self.write(CERTIFICATE, certificate)
    }

    /// Makes the directory `instance`'s own, before a key is made in it.
    ///
    /// A disk that was copied from another instance brings that one's identity along,
    /// or a key that waits for it: neither is used here. It is put aside as evidence,
    /// its key destroyed; gives whose it was. Who enrolled by a token under a name of
    /// the operator's choice keeps that name: no instance id contradicts it.
    ///
    /// # Errors
    ///
    /// [`Error::Disk`]; then nothing of another instance may be used either.
    pub(super) fn belong_to(&self, instance: &HostId) -> Result<Option<String>, Error> {
        self.strip_stray()?;
        let owner = self.read(HOST)?;
        let owner = owner.as_deref().map(|owner| String::from_utf8_lossy(owner).trim().to_owned());
        let enrolled = self.read(CERTIFICATE)?.is_some();
        let named = owner.as_deref().and_then(|owner| owner.parse::<HostId>().ok());
        match named {
            Some(host) if host == *instance => return Ok(None),
            Some(host) if !host.is_instance() && enrolled => return Ok(None),
            Some(_) | None => self.put_aside()?,
        }
        self.write(HOST, format!("{instance}\n").as_bytes())?;
        Ok(owner.filter(|_| enrolled))
    }

    fn put_aside(&self) -> Result<(), Error> {
        let stray = self.stray();
        let disk = |source| Error::Disk { file: stray.clone(), source };
        if let Err(error) = fs::remove_dir_all(&stray)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(disk(error));
        }
        match fs::rename(&self.directory, &stray) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(disk(error)),
        }
        if let Some(parent) = stray.parent() {
            File::open(parent).and_then(|parent| parent.sync_all()).map_err(disk)?;
        }
        self.strip_stray()
    }

    /// Leaves of what was put aside who it was and what it showed, and no secret.
    fn strip_stray(&self) -> Result<(), Error> {
        let stray = self.stray();
        let disk = |source| Error::Disk { file: stray.clone(), source };
        let files = match fs::read_dir(&stray) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(disk(error)),
        };
        for file in files {
            let file = file.map_err(disk)?;
            if file.file_name() != HOST && file.file_name() != CERTIFICATE {
                fs::remove_file(file.path()).map_err(disk)?;
            }
        }
        Ok(())
    }

    /// Where the identity of another instance is kept as evidence.
    fn stray(&self) -> PathBuf {
        self.directory.with_file_name(STRAY)
    }

    fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let file = self.directory.join(name);
        match fs::read(&file) {
            Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Disk { file, source }),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        durable::write(&self.directory, name, bytes)
            .map_err(|source| Error::Disk { file: self.directory.join(name), source })
    }
}

/// Why there is no identity on the disk.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk said no.
    #[error("could not use `{}`", file.display())]
    Disk {
        /// The file.
        file: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// The files do not fit together, which no crash of ours can cause.
    #[error("the identity in `{}` is broken: {what}", directory.display())]
    Broken {
        /// Where it is.
        directory: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// There is no randomness, or no memory.
    #[error("could not make a key")]
    Key(#[source] rcgen::Error),
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Disk { .. } => "free space or mend the disk; the agent tries again by itself",
            Self::Broken { .. } => {
                "move the directory away and enrol this machine anew with `floe hosts token`"
            }
            Self::Key(_) => "look at the machine: its kernel gives no random bytes",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_for_root_alone() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::new(state.path());
        let first = store.key().unwrap().serialize_der();
        assert_eq!(store.key().unwrap().serialize_der(), first);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state.path().join("identity")), 0o700);
        assert_eq!(mode(&state.path().join("identity").join(KEY)), 0o600);
    }

    #[test]
    fn without_a_certificate_there_is_no_identity() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::new(state.path());
        assert!(store.load().unwrap().is_none());
        store.key().unwrap();
        assert!(store.load().unwrap().is_none());
        store.save(&"local-a".parse().unwrap(), b"certificate").unwrap();
        let enrolled = store.load().unwrap().unwrap();
        assert_eq!(enrolled.host.as_str(), "local-a");
    }

    #[test]
    fn t079_what_a_copied_disk_brought_along_is_put_aside_without_its_key() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::new(state.path());
        let (original, copy): (HostId, HostId) =
            ("i-0000000000000000a".parse().unwrap(), "i-0000000000000000b".parse().unwrap());
        assert_eq!(store.belong_to(&original).unwrap(), None);
        let key = store.key().unwrap().serialize_der();
        store.save(&original, b"certificate").unwrap();
        assert_eq!(store.belong_to(&original).unwrap(), None);
        assert!(store.load().unwrap().is_some(), "its own identity stays");

        assert_eq!(store.belong_to(&copy).unwrap().as_deref(), Some(original.as_str()));
        assert!(store.load().unwrap().is_none());
        assert_ne!(store.key().unwrap().serialize_der(), key);
        let stray = state.path().join("identity.stray");
        let evidence = fs::read(stray.join(CERTIFICATE)).unwrap();
        assert_eq!(evidence, b"certificate");
        assert!(!stray.join(KEY).exists());

        // A power cut between putting aside and destroying.
        fs::write(stray.join(KEY), "key").unwrap();
        store.belong_to(&copy).unwrap();
        assert!(!stray.join(KEY).exists());
    }

    #[test]
    fn t079_a_key_that_waited_for_another_instance_is_not_used_either() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::new(state.path());
        store.belong_to(&"i-0000000000000000a".parse().unwrap()).unwrap();
        let key = store.key().unwrap().serialize_der();
        store.belong_to(&"i-0000000000000000b".parse().unwrap()).unwrap();
        assert_ne!(store.key().unwrap().serialize_der(), key);
    }

    #[test]
    fn a_name_that_a_token_gave_is_kept() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::new(state.path());
        store.key().unwrap();
        store.save(&"local-www".parse().unwrap(), b"certificate").unwrap();
        store.belong_to(&"i-0000000000000000b".parse().unwrap()).unwrap();
        assert_eq!(store.load().unwrap().unwrap().host.as_str(), "local-www");
    }

    #[test]
    fn what_a_crash_left_behind_does_not_stand_in_the_way() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::new(state.path());
        fs::create_dir(state.path().join("identity")).unwrap();
        fs::write(state.path().join("identity/.key.der.new"), "half a k").unwrap();
        let key = store.key().unwrap().serialize_der();
        assert_eq!(store.key().unwrap().serialize_der(), key);
    }
}
