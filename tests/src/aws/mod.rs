//! As much of AWS as floe asks: who an instance is, from inside and from outside.
//!
//! Two servers in this process, which listen in the network of the world: the instance
//! metadata service, which tells instances by the address that asks, and EC2's API.
//! Both know only what [`cloud::Cloud::launch`] put there. Nothing here judges.
//!
//! | file | plays |
//! | --- | --- |
//! | [`cloud`] | an account, its instances, and where the two listen |
//! | [`metadata`] | 169.254.169.254, version 2 |
//! | [`ec2`] | DescribeInstances |
//! | [`document`] | the identity document, signed as AWS signs it |
//! | [`http`] | a server that answers with words |

pub mod cloud;
pub mod document;
mod ec2;
mod http;
mod metadata;
