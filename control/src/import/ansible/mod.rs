//! What Ansible's files say: which hosts there are, and what playbooks bring to them.
//!
//! ```text
//! ansible.cfg, inventory ─▶ inventory ─▶ groups and hosts
//! playbooks ─▶ playbook ─▶ walk ─▶ task ─▶ what reaches the machine (role::Put)
//!               whether it runs: runs ┘ └─▶ module: what becomes of every other task
//! ```

mod arguments;
mod inventory;
mod keyword;
mod module;
mod playbook;
mod runs;
mod search;
mod task;
mod walk;
mod words;

pub(super) use inventory::{Inventory, configuration, inventory};
pub(super) use playbook::{Play, Playbooks, playbooks};
