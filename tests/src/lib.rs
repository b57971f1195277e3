//! Integration tests of `piggyback`: see `tests/` and `ui/` beside this folder.
