//! Integration tests of `piggyback`: see `tests/` and `ui/` beside this folder. What several of them need is here.

pub mod by_hand;
