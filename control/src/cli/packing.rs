//! What comes before anything is sent: who signs, and the payload in a file.

use std::io::{BufWriter, Write as _};

use floe_proto::payload::pack::Packed;
use floe_proto::root::Root;
use floe_proto::verify::Verified;
use tempfile::NamedTempFile;

use super::closure::Content;
use super::end::Stopped;
use crate::signing::Signer;

/// Whether those who sign here are enough for hosts; before anybody touches a token.
pub(super) fn enough(signers: &[Signer], root: &Verified<Root>) -> Result<(), Stopped> {
    let needed = root.release.threshold;
    if usize::try_from(needed).is_ok_and(|needed| signers.len() >= needed) {
        return Ok(());
    }
    Err(Stopped::refused(
        format!("{needed} release keys must sign, and floe.toml names {} here", signers.len()),
        "`floe bundle build` it, have others sign it with `floe bundle sign`, then `floe bundle \
         publish`; or name more keys in `[signing]`",
    ))
}

/// A payload in a file that is gone when this is dropped.
pub(super) struct Payload {
    pub(super) file: NamedTempFile,
    pub(super) packed: Packed,
}

/// Packs in a thread of its own, since reading files blocks.
pub(super) async fn pack(content: Content) -> anyhow::Result<Payload> {
    let packed = tokio::task::spawn_blocking(move || {
        let mut file = NamedTempFile::new()?;
        let mut out = BufWriter::new(file.as_file_mut());
        let packed = content.write(&mut out)?;
        out.flush()?;
        drop(out);
        anyhow::Ok(Payload { file, packed })
    });
    packed.await?
}
