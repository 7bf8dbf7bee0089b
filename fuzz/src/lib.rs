//! What is fuzzed, and how: see the README of this directory.

pub mod properties;
