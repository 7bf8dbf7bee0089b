//! A program that signs: a KMS, a token, anything that keeps its key to itself.
//!
//! The message comes on its stdin, byte for byte; it writes the Ed25519 signature to its
//! stdout, 64 bytes raw or in base64. Its stderr is the operator's: "touch the token". It
//! has a bounded time and a bounded output, gets none of our secrets in its environment,
//! and is not believed: what it wrote is verified before anybody uses it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use data_encoding::BASE64;
use floe_proto::key::PublicKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::error::Error;
use crate::program;

/// For somebody to find and touch a token.
const LIMIT: Duration = Duration::from_secs(120);

/// A signature in base64 is 88 bytes, and a line feed.
const MAX_OUTPUT: u64 = 1024;

/// A program that signs with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    public: PublicKey,
    program: String,
    arguments: Vec<String>,
    directory: PathBuf,
    limit: Duration,
}

impl Command {
    /// `words` are program and arguments, given to no shell. It runs in `directory`, which
    /// a relative path of a program is relative to.
    ///
    /// # Errors
    ///
    /// [`Error::NoCommand`] where there are no words.
    pub fn new(public: PublicKey, words: &[String], directory: &Path) -> Result<Self, Error> {
        let Some((program, arguments)) = words.split_first() else { return Err(Error::NoCommand) };
        if program.is_empty() {
            return Err(Error::NoCommand);
        }
        Ok(Self {
            public,
            program: program.clone(),
            arguments: arguments.to_vec(),
            directory: directory.to_owned(),
            limit: LIMIT,
        })
    }

    /// The key that it should sign with.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// What is run.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Has `message` signed.
    pub(super) async fn sign(&self, message: &[u8]) -> Result<[u8; 64], Error> {
        let program = || self.program.clone();
        let ran = timeout(self.limit, self.run(message)).await;
        let ran =
            ran.map_err(|_| Error::TooSlow { program: program(), seconds: self.limit.as_secs() })?;
        let (status, output) =
            ran.map_err(|source| Error::Unrunnable { program: program(), source })?;
        if !status.success() {
            return Err(Error::Failed { program: program(), status });
        }
        let signature = signature(&output)
            .ok_or_else(|| Error::NoSignature { program: program(), length: output.len() })?;
        if !self.public.verifies(message, &signature) {
            return Err(Error::OtherSignature { program: program(), id: self.public.id() });
        }
        Ok(signature)
    }

    async fn run(&self, message: &[u8]) -> io::Result<(ExitStatus, Vec<u8>)> {
        // A bare name is looked up in PATH; what has a slash is a path.
        let program = if self.program.contains('/') {
            self.directory.join(&self.program)
        } else {
            PathBuf::from(&self.program)
        };
        let mut child = program::command(program)
            .args(&self.arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let told = async {
            let Some(mut stdin) = stdin else { return };
            // One that signs something else without reading is found by its signature.
            let _ = stdin.write_all(message).await;
        };
        let said = async {
            let mut bytes = Vec::new();
            if let Some(stdout) = stdout {
                // What is over the bound meets a closed pipe.
                stdout.take(MAX_OUTPUT).read_to_end(&mut bytes).await?;
            }
            io::Result::Ok(bytes)
        };
        let ((), said) = tokio::join!(told, said);
        Ok((child.wait().await?, said?))
    }
}

/// 64 bytes as they are, or base64 of 64 bytes among white space.
fn signature(output: &[u8]) -> Option<[u8; 64]> {
    if let Ok(raw) = output.try_into() {
        return Some(raw);
    }
    BASE64.decode(output.trim_ascii()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use floe_proto::key::SecretKey;

    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_seed(&[7; 32])
    }

    fn shell(script: &str) -> Command {
        let words = ["sh", "-c", script].map(str::to_owned);
        Command::new(key().public(), &words, Path::new("/")).unwrap()
    }

    fn answer(signature: &[u8]) -> Command {
        shell(&format!("cat >/dev/null; echo {}", BASE64.encode(signature)))
    }

    #[tokio::test]
    async fn a_signature_is_taken_raw_or_in_base64() {
        let good = key().sign(b"message");
        assert_eq!(answer(&good).sign(b"message").await.unwrap(), good);
        let octal: String = good.iter().map(|byte| format!("\\{byte:03o}")).collect();
        let raw = shell(&format!("cat >/dev/null; printf '{octal}'"));
        assert_eq!(raw.sign(b"message").await.unwrap(), good);
    }

    #[tokio::test]
    async fn what_is_not_this_keys_signature_over_this_is_refused() {
        let over_another = answer(&key().sign(b"another message")).sign(b"message").await;
        assert!(matches!(over_another, Err(Error::OtherSignature { .. })), "{over_another:?}");
        let other = SecretKey::from_seed(&[8; 32]).sign(b"message");
        let of_another = answer(&other).sign(b"message").await.unwrap_err();
        assert!(of_another.is_refusal(), "{of_another}");
    }

    #[tokio::test]
    async fn the_message_comes_as_it_is_however_long() {
        let message = vec![0xa5; 300_000];
        let counted = shell("test $(cat | wc -c) = 300000 && echo no signature");
        let said = counted.sign(&message).await;
        assert!(matches!(said, Err(Error::NoSignature { length: 13, .. })), "{said:?}");
    }

    #[tokio::test]
    async fn one_that_fails_talks_on_or_is_not_there_is_named() {
        let failed = shell("exit 3").sign(b"m").await.unwrap_err();
        assert!(failed.to_string().contains("exit status: 3"), "{failed}");
        let endless = shell("yes").sign(b"m").await.unwrap_err();
        assert!(matches!(endless, Error::Failed { .. }), "{endless}");
        let words = ["./no-such-signer".to_owned()];
        let missing = Command::new(key().public(), &words, Path::new("/")).unwrap();
        assert!(matches!(missing.sign(b"m").await, Err(Error::Unrunnable { .. })));
        assert!(matches!(Command::new(key().public(), &[], Path::new("/")), Err(Error::NoCommand)));
    }

    #[tokio::test]
    async fn one_that_never_answers_is_given_up() {
        let mut silent = shell("exec sleep 600");
        silent.limit = Duration::from_millis(50);
        assert!(matches!(silent.sign(b"m").await, Err(Error::TooSlow { .. })));
    }
}
