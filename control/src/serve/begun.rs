//! What a start changed by itself, as the audit log has it: who is believed, and who signs.

use floe_proto::time::Timestamp;

use crate::enrol::ca::Authority;
use crate::store::{AuditEntry, Error, Store};
use crate::trust::Roots;

/// Writes down what was taken and made at `now`, when this process began.
pub(super) async fn record(
    store: &Store,
    roots: &Roots,
    authority: &Authority,
    now: Timestamp,
) -> Result<(), Error> {
    for known in roots.after(0) {
        if known.record.published == now {
            let what = format!("trust root version {}", known.root.version);
            store.audit(entry("trusted", what, now)).await?;
        }
    }
    let issuers = authority.issuers().borrow().clone();
    // As its certificate says it.
    for known in issuers.all().filter(|known| known.made >= now.whole_seconds()) {
        store.audit(entry("made", format!("issuer {}", known.number), now)).await?;
    }
    Ok(())
}

fn entry(action: &str, target: String, at: Timestamp) -> AuditEntry {
    AuditEntry {
        at,
        actor: "control".to_owned(),
        action: action.to_owned(),
        target,
        outcome: "ok".to_owned(),
        ..AuditEntry::default()
    }
}
