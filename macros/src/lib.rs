//! The attributes of the `piggyback` crate. Depend on `piggyback`, which re-exports and documents them.
#![forbid(unsafe_code)]
