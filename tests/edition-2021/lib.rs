//! The tests of `piggyback-tests` that a crate of edition 2021 can hold.
