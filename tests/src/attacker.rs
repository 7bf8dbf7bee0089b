//! Who owns the control plane, or the bucket. What they cannot do is the point.
//!
//! They change the files and the rows of a running `floe serve` behind its back.

use std::fs;
use std::path::{Path, PathBuf};

use floe_proto::digest::Digest;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};

use crate::world::World;

/// Somebody with the data directory of the control plane in their hands.
#[derive(Debug)]
pub struct Attacker {
    data: PathBuf,
}

impl Attacker {
    /// Who has broken into the control plane of `world`.
    pub fn of(world: &World) -> Self {
        Self { data: world.control.data() }
    }

    /// Changes one bit in the middle of every payload of the bucket.
    ///
    /// # Panics
    ///
    /// Where there is none.
    pub fn flip_a_bit_in_every_payload(&self) {
        self.rewrite_payloads(|bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        });
    }

    /// Leaves the first half of every payload.
    pub fn truncate_every_payload(&self) {
        self.rewrite_payloads(|bytes| bytes.truncate(bytes.len() / 2));
    }

    /// Changes one bit in the middle of every NAR of the bucket.
    ///
    /// # Panics
    ///
    /// Where there is none.
    pub fn flip_a_bit_in_every_nar(&self) {
        self.rewrite(".nar.zst", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        });
    }

    /// Takes a NAR with these bytes out of the bucket; gives where it was.
    ///
    /// # Panics
    ///
    /// Where it is not there.
    pub fn take_nar(&self, bytes: &[u8]) -> PathBuf {
        let name = format!("{}.nar.zst", Digest::of(bytes));
        let mut found = Vec::new();
        find(&self.data.join("objects"), &name, &mut found);
        let path = found.pop().expect("a NAR of these bytes");
        fs::remove_file(&path).unwrap();
        path
    }

    /// Passes the manifests of one role off as those of another.
    pub async fn relabel_manifests(&self, from: &str, to: &str) {
        self.execute("UPDATE manifests SET role = $2 WHERE role = $1", &[from, to]).await;
    }

    /// Sends the manifest of serial `old` when that of serial `new` is asked for.
    pub async fn replay(&self, old: &str, new: &str) {
        let replay = "UPDATE manifests \
                      SET envelope = (SELECT envelope FROM manifests WHERE serial = $1 + 0) \
                      WHERE serial = $2 + 0";
        self.execute(replay, &[old, new]).await;
    }

    /// Forgets every trust root, so that any other is taken for the first.
    pub async fn forget_trust_roots(&self) {
        self.execute("DELETE FROM trust_roots WHERE $1 = $1", &[""]).await;
    }

    /// Changes what the newest row of the audit log says.
    pub async fn rewrite_history(&self) {
        let rewrite = "UPDATE audit_log SET actor = $1 \
                       WHERE number = (SELECT MAX(number) - 1 FROM audit_log)";
        self.execute(rewrite, &["operator/eve"]).await;
    }

    fn rewrite_payloads(&self, change: impl Fn(&mut Vec<u8>)) {
        self.rewrite(".tar.zst", change);
    }

    fn rewrite(&self, ending: &str, change: impl Fn(&mut Vec<u8>)) {
        let mut found = Vec::new();
        find(&self.data.join("objects"), ending, &mut found);
        assert!(!found.is_empty(), "nothing of that kind below {}", self.data.display());
        for path in found {
            let mut bytes = fs::read(&path).unwrap();
            change(&mut bytes);
            fs::write(&path, bytes).unwrap();
        }
    }

    async fn execute(&self, statement: &'static str, values: &[&str]) {
        let options = SqliteConnectOptions::new().filename(self.data.join("floe.sqlite"));
        let mut connection: SqliteConnection = options.connect().await.unwrap();
        let query = values.iter().fold(sqlx::query(statement), |query, value| query.bind(*value));
        let changed = query.execute(&mut connection).await.unwrap().rows_affected();
        assert!(changed > 0, "`{statement}` found nothing to change");
    }
}

fn find(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            find(&path, ending, found);
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
}
