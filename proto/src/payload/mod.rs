//! Payloads (being written).
