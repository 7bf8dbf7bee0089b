//! What Ansible's files say: which hosts there are, and what playbooks bring to them.
//!
//! ```text
//! ansible.cfg, inventory ─▶ inventory ─▶ groups and hosts
//! playbooks ─▶ playbook ─▶ task ─▶ what reaches the machine (role::Put)
//!                           └─▶ module: what becomes of every other task
//! ```

mod arguments;
mod inventory;
mod keyword;
mod module;
mod playbook;
mod task;
mod words;

pub(super) use inventory::{Inventory, configuration, inventory};
pub(super) use playbook::{Play, is_playbook, plays};
