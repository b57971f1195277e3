//! The messages of `across` for wrong use with the feature `fleet` on: each case in `ui/fail` is one mistake, and gets one error.

use std::fs;
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
    let mut cases = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "stderr") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let count = |word| text.lines().filter(|line| line.starts_with(word)).count();
        assert_eq!((count("error"), count("warning")), (1, 0), "{path:?}");
        cases += 1;
    }
    assert!(cases >= 9, "{cases} cases");
}
