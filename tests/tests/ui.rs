//! What the attributes say to wrong use: each case in `ui/fail` is one mistake, and gets one error.

use std::fs;
use std::path::Path;

#[test]
fn wrong_use_is_explained() {
    trybuild::TestCases::new().compile_fail("ui/fail/*.rs");
}

#[test]
fn right_use_compiles() {
    trybuild::TestCases::new().pass("ui/pass/*.rs");
}

#[test]
fn one_mistake_gets_one_error() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui/fail");
    let mut cases = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_none_or(|extension| extension != "stderr")
        {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let errors = text
            .lines()
            .filter(|line| line.starts_with("error"))
            .count();
        let warnings = text
            .lines()
            .filter(|line| line.starts_with("warning"))
            .count();
        assert_eq!((errors, warnings), (1, 0), "{}", path.display());
        cases += 1;
    }
    assert!(cases >= 25, "{cases} cases");
}

/// Each error of a body: what it says, and where.
fn errors_of(name: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("ui/bodies")
        .join(name);
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let place = |line: &str| {
        line.rsplit_once(".rs:")
            .map(|(_, place)| place.to_owned())
            .unwrap_or_default()
    };
    let mut errors: Vec<(String, String)> = lines
        .windows(2)
        .filter(|pair| pair[0].starts_with("error["))
        .map(|pair| {
            (
                pair[0].replace("async block", "async function"),
                place(pair[1]),
            )
        })
        .collect();
    errors.sort();
    errors
}

#[test]
fn bodies_are_checked_as_ever() {
    trybuild::TestCases::new().compile_fail("ui/bodies/*.rs");
    let (plain, annotated) = (errors_of("plain.stderr"), errors_of("annotated.stderr"));
    assert!(plain.len() >= 20, "{plain:#?}");
    assert_eq!(plain, annotated);
}
