//! The messages of `across` for wrong use with the feature `fleet` on: each case in `ui/fail` is one mistake, and gets one error.

#[path = "../../tests/ui/one_error.rs"]
mod one_error;

use std::path::Path;

// One object for all cases: each would prepare, lock and check a project of its own.
#[test]
fn wrong_use_is_explained_and_right_use_compiles() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("ui/fail/*.rs");
    cases.pass("ui/pass/*.rs");
}

#[test]
fn one_mistake_gets_one_error() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui/fail");
    one_error::one_mistake_gets_one_error(&folder, 9);
}
