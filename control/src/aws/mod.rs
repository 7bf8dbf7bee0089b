//! AWS, spoken to: the real implementation of what others need of it.
//!
//! | file | is |
//! | --- | --- |
//! | [`ec2`] | what EC2's API says of an instance |
//!
//! Types of the SDK stop here. Credentials come from where the SDK looks for them:
//! environment, shared files, the metadata service of the machine.

pub mod ec2;
