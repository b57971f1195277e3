//! What the attributes say to wrong use: each case in `ui/fail` is one mistake, and gets one error.

mod one_error;
mod suggestions;

use piggyback_tests::fresh::{Fresh, repository};
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
    one_error::one_mistake_gets_one_error(&folder, 25);
}

/// Each error of a file in `ui/bodies`, out of cargo's output: its line, its column, and what it says.
fn errors_of(file: &str, output: &str) -> Vec<String> {
    let errors = output.lines().filter_map(|line| {
        let (_, error) = line.split_once(file)?;
        error.contains(": error[").then_some(error)
    });
    let mut errors: Vec<String> = errors
        .map(|error| error.replace("async block", "async function"))
        .collect();
    errors.sort();
    errors
}

/// In cargo's short form, since the long one differs where rustc finds the sources of std, to show lines of.
#[test]
fn bodies_are_checked_as_ever() {
    let [runtime, bodies] = ["runtime", "tests/ui/bodies"].map(|path| repository().join(path));
    let bin = |name: &str| {
        let path = bodies.join(name).with_extension("rs");
        format!("[[bin]]\nname = {name:?}\npath = {path:?}\n")
    };
    let user = Fresh::new(
        env!("CARGO_TARGET_TMPDIR"),
        "bodies",
        &format!(
            "[dependencies]\npiggyback = {{ path = {runtime:?} }}\n{}{}",
            bin("plain"),
            bin("annotated")
        ),
    );
    let output = user.cargo(&["check", "--keep-going", "--message-format=short"]);
    let output = String::from_utf8_lossy(&output.stderr);
    let plain = errors_of("plain.rs:", &output);
    assert!(plain.len() >= 20, "{output}");
    assert_eq!(plain, errors_of("annotated.rs:", &output));
}

/// Suggestions that need more than the line itself, and what that is.
const NOT_PASTED: &[(&str, &str)] = &[
    ("dedup_scope_is_new", "a field or a static"),
    ("batch_limit_is_new", "a field or a static"),
    ("loader_limit_is_new", "a field or a static"),
    ("dedup_across_feature", "a feature"),
    ("dedup_across_is_new", "a feature, and a field or a static"),
    ("dedup_across_batch", "a feature"),
    ("dedup_across_borrowed_output", "a feature"),
    ("dedup_across_err_without_result", "a feature"),
    ("dedup_async_taken_away", "another order of attributes"),
    (
        "dedup_anyhow",
        "the crate, for which the case has a stand-in",
    ),
    (
        "batch_limit_is_a_number",
        "another option instead of this one",
    ),
    ("dedup_skip_a_method", "another option instead of this one"),
    ("dedup_skip_a_field", "another option instead of this one"),
    (
        "dedup_skip_a_field_of_self",
        "another option instead of this one",
    ),
    ("batch_eyre", "the crate, for which the case has a stand-in"),
];

/// Each suggestion is taken from the message itself, so a case that is added to `ui/fail` is tested here, too. All of
/// them are modules of one crate: one compilation.
#[test]
fn what_a_message_suggests_compiles_when_pasted() {
    let runtime = repository().join("runtime");
    let user = Fresh::new(
        env!("CARGO_TARGET_TMPDIR"),
        "suggestions",
        &format!(
            "[dependencies]\npiggyback = {{ path = {runtime:?}, features = [\"anyhow\", \"eyre\"] }}\ntokio = {{ version = \"1\", features = [\"macros\", \"rt-multi-thread\", \"time\"] }}\nanyhow = \"1\"\neyre = \"0.6\"\n"
        ),
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui/fail");
    let mut modules = String::from("#![allow(warnings)]\n");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let skipped = NOT_PASTED.iter().any(|(skipped, _)| *skipped == name);
        if skipped || path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let [source, stderr] = ["rs", "stderr"]
            .map(|extension| fs::read_to_string(path.with_extension(extension)).unwrap());
        for (number, fixed) in suggestions::fixed(&source, &stderr).into_iter().enumerate() {
            let module = format!("{name}_{number}");
            user.write(&format!("src/{module}.rs"), &fixed);
            modules += &format!("mod {module};\n");
            count += 1;
        }
    }
    assert!(count >= 30, "{count} suggestions");
    user.write("src/lib.rs", &modules);
    user.succeeds(&["check"]);
}
