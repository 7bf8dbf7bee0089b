//! `floe import`: a repository of Packer, Ansible and CloudFormation becomes a fleet
//! repository, and a report of what became of every line.
//!
//! ```text
//! tree ─▶ packer ────────┐ image, provisioners        ┌─▶ files   hosts/<role>/, group_vars/
//!     ├─▶ ansible ───────┼─▶ role ─▶ nix ─▶ host_file ┤
//!     └─▶ cloudformation ┘  what reaches /etc/nixos    └─▶ report  taken | replaced | …
//!                            and what that names: follow
//! ```
//!
//! Reading comes first and whole; then everything is a function of what was read: no file,
//! no clock, no environment. Nothing is guessed: what is not understood is named with its
//! line and stays undone.

mod ansible;
mod cloudformation;
mod error;
mod follow;
mod host_file;
mod line;
mod nix;
mod own;
mod packer;
mod plan;
mod report;
mod role;
mod roles;
mod settle;
mod shell;
mod tree;
mod variables;
mod yaml;

pub use error::Error;
pub use plan::{Plan, Planned, plan};
pub use report::{Finding, Outcome, Report, Target};
pub use tree::Tree;
pub use variables::Variables;
