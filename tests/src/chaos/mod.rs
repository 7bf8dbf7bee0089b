//! `make chaos`: processes are killed and the power fails, at moments that a seed chooses;
//! and each host ends settled on one system, the one that is on record for it.
//!
//! | file | holds |
//! | --- | --- |
//! | [`plan`] | what is pushed and what is struck when, from a seed (pure) |
//! | [`reaper`] | lies in wait on a host, and strikes |
//! | [`verdict`] | whether a host ended where it says (pure) |
//! | [`lane`] | one host that goes through its part of the plan |

pub mod lane;
pub mod plan;
pub mod reaper;
pub mod verdict;
