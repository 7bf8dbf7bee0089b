//! `identity/` in the state directory: what is on the disk, whole or not at all.
//!
//! The certificate is the last file to be written: with it there is an identity,
//! without it there is at most a key that waits for one. Everything is readable by
//! root alone. Only the newest certificate is kept, never one of another key.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use floe_proto::certificate::{self, Certificate};
use floe_proto::digest::Digest;
use floe_proto::id::HostId;
use floe_proto::time::Timestamp;
use floe_proto::transport;
use log::warn;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::{bounded, durable};

/// PKCS#8, DER.
const KEY: &str = "key.der";

/// The key of the certificate that is asked for, while another one is in use.
const NEXT_KEY: &str = "next-key.der";

/// Who the certificate is for, as text.
const HOST: &str = "host";

/// X.509, DER: the certificate, and after it those of the CAs between it and the root.
const CERTIFICATE: &str = "certificate.der";

/// The directory beside, for what a copied disk brought along.
const STRAY: &str = "identity.stray";

/// Longer than any key or chain of certificates.
const MAX_BYTES: u64 = 256 << 10;

/// A machine that is a host.
pub struct Enrolled {
    /// Which one.
    pub host: HostId,
    /// What it shows of itself.
    pub identity: transport::Identity,
    /// What its certificate says.
    pub certificate: Certificate,
    /// When it came, by the clock of then; only a hint.
    pub received: Option<Timestamp>,
}

impl Enrolled {
    /// The key, for what is to be signed with it.
    ///
    /// # Errors
    ///
    /// [`rcgen::Error`] where it is no key of ours.
    pub(super) fn key(&self) -> Result<KeyPair, rcgen::Error> {
        KeyPair::try_from(self.identity.key.secret_der())
    }
}

/// When the newest certificate in `state_directory` was made, by the clock of the CA.
/// `None` where there is none that can be read.
pub fn issued(state_directory: &Path) -> Option<Timestamp> {
    let chain = Store::new(state_directory).read(CERTIFICATE).ok()??;
    read_chain(&chain).map(|(_, certificate)| certificate.not_before)
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
        let whole = read_chain(&certificate).ok_or_else(|| broken("its certificate is damaged"))?;
        let (chain, certificate) = whole;
        // Certificate and key change together, by the one rename of the certificate: it says
        // which of the two keys is meant.
        let keys = [self.keypair(KEY)?, self.keypair(NEXT_KEY)?];
        let key = keys.into_iter().flatten().find(|key| is_of(&certificate, key));
        let key = key.ok_or_else(|| broken("its key is not its certificate's"))?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let identity = transport::Identity { chain, key };
        let file = fs::metadata(self.directory.join(CERTIFICATE));
        let received = file.and_then(|file| file.modified()).ok().map(Timestamp::from);
        Ok(Some(Enrolled { host, identity, certificate, received }))
    }

    /// The key for the certificate that is asked for now: on the disk, and the same until
    /// its certificate is saved. A host has another one in use meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Disk`], and [`Error::Key`] where none can be made.
    pub(super) fn key(&self) -> Result<KeyPair, Error> {
        self.settle()?;
        let name = self.awaited()?;
        if let Some(key) = self.keypair(name)? {
            return Ok(key);
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Error::Key)?;
        self.write(name, &Zeroizing::new(key.serialize_der()))?;
        Ok(key)
    }

    /// Forgets the key of a certificate that was asked for and is not to be had.
    ///
    /// # Errors
    ///
    /// [`Error::Disk`].
    pub(super) fn forget_next(&self) -> Result<(), Error> {
        let file = self.directory.join(self.awaited()?);
        match fs::remove_file(&file) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(Error::Disk { file, source })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Stores the certificate of [`Self::key`] and its issuers. Afterwards that is the
    /// identity; before there was none, or another one, and never half of it.
    ///
    /// # Errors
    ///
    /// [`Error::Disk`]; then there is no identity yet, or the one that was before.
    pub(super) fn save(
        &self,
        host: &HostId,
        chain: &[CertificateDer<'static>],
    ) -> Result<(), Error> {
        self.write(HOST, format!("{host}\n").as_bytes())?;
        self.write(CERTIFICATE, &joined(chain))?;
        self.settle()
    }

    /// Where the key lies that waits for its certificate.
    fn awaited(&self) -> Result<&'static str, Error> {
        Ok(if self.read(CERTIFICATE)?.is_some() { NEXT_KEY } else { KEY })
    }

    /// Puts the new key in the place of the old one, once the certificate is the new one's.
    fn settle(&self) -> Result<(), Error> {
        let Some(chain) = self.read(CERTIFICATE)? else { return Ok(()) };
        let Some(next) = self.keypair(NEXT_KEY)? else { return Ok(()) };
        if !read_chain(&chain).is_some_and(|(_, certificate)| is_of(&certificate, &next)) {
            return Ok(());
        }
        let file = self.directory.join(NEXT_KEY);
        fs::rename(&file, self.directory.join(KEY))
            .and_then(|()| File::open(&self.directory)?.sync_all())
            .map_err(|source| Error::Disk { file, source })
    }

    /// What is damaged is no key, and costs nobody the other one.
    fn keypair(&self, name: &str) -> Result<Option<KeyPair>, Error> {
        let Some(der) = self.read(name)? else { return Ok(None) };
        let der = PrivatePkcs8KeyDer::from(der.as_slice());
        match KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256) {
            Ok(key) => Ok(Some(key)),
            Err(error) => {
                let file = self.directory.join(name);
                warn!("`{}` is no P-256 key and is not used: {error}", file.display());
                Ok(None)
            }
        }
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

    /// Puts an identity aside that cannot be read, as evidence: nothing else would ever
    /// take its place. Says where it is now.
    ///
    /// # Errors
    ///
    /// [`Error::Disk`]; then it may still be there.
    pub(super) fn put_aside_broken(&self) -> Result<PathBuf, Error> {
        let owner = self.read(HOST)?;
        let owner =
            owner.and_then(|owner| std::str::from_utf8(&owner).ok()?.trim_end().parse().ok());
        self.put_aside()?;
        // So that `belong_to` finds the instance's own directory, and leaves the next key there.
        if let Some(instance) = owner.filter(HostId::is_instance) {
            self.write(HOST, format!("{instance}\n").as_bytes())?;
        }
        Ok(self.stray())
    }

    fn put_aside(&self) -> Result<(), Error> {
        let stray = self.stray();
        let disk = |source| Error::Disk { file: stray.clone(), source };
        if self.read(CERTIFICATE)?.is_none() {
            // A key that waited is no evidence, and does not take the place of any.
            return remove_directory(&self.directory).map_err(disk);
        }
        remove_directory(&stray)
            .and_then(|()| fs::rename(&self.directory, &stray))
            .map_err(disk)?;
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
        bounded::read(&file, MAX_BYTES).map_err(|source| Error::Disk { file, source })
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        durable::write(&self.directory, name, bytes)
            .map_err(|source| Error::Disk { file: self.directory.join(name), source })
    }
}

fn remove_directory(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether [`Store::load`] finds `chain` again after it was saved, as the certificate of
/// `key` and its issuers: each of them exactly one certificate.
pub(super) fn could_be_read_back(chain: &[CertificateDer<'static>], key: &KeyPair) -> bool {
    read_chain(&joined(chain)).is_some_and(|(found, leaf)| found == chain && is_of(&leaf, key))
}

fn joined(chain: &[CertificateDer<'static>]) -> Vec<u8> {
    chain.iter().flat_map(|one| one.iter().copied()).collect()
}

fn read_chain(der: &[u8]) -> Option<(Vec<CertificateDer<'static>>, Certificate)> {
    let chain = certificate::chain(der).ok()?;
    let leaf = Certificate::read(chain.first()?).ok()?;
    Some((chain, leaf))
}

fn is_of(certificate: &Certificate, key: &KeyPair) -> bool {
    Digest::of(&key.subject_public_key_info()) == certificate.key
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
#[path = "store_tests.rs"]
mod tests;
