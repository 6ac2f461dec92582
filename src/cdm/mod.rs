//! Content decryption: licences, keys, and samples made clear with them. Keys and clear samples stay in memory.

#[allow(dead_code, reason = "the modules that hold keys use it")]
pub mod cipher;
