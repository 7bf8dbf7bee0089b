//! AWS, spoken to: the real implementation of what others need of it.
//!
//! | file | is |
//! | --- | --- |
//! | [`actions`] | what IAM must allow: every call that is made, here and in [`crate::objects`] |
//! | [`ec2`] | what EC2's API says of an instance |
//!
//! Types of the SDK stop here. Credentials come from where the SDK looks for them:
//! environment, shared files, the metadata service of the machine.

pub mod actions;
pub mod ec2;
