//! A stranger's first minutes: a new crate that depends on the packages as they are published, and the README's examples in
//! it, as printed.
//!
//! A ```` ```rust ```` block is a whole program, which has to run, or a list of items, which have to compile; a block that
//! is marked `ignore` is neither. The new crate depends on what the README's `cargo add` lines say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use piggyback_tests::fresh::{Fresh, repository};

const TMP: &str = env!("CARGO_TARGET_TMPDIR");

/// The bodies of the README's code blocks with one of these words behind the fence.
fn blocks(marks: &[&str]) -> Vec<String> {
    let text = fs::read_to_string(repository().join("README.md")).unwrap();
    let mut found = Vec::new();
    let mut block: Option<(bool, String)> = None;
    for line in text.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(mark)) => block = Some((marks.contains(&mark.trim()), String::new())),
            (Some(_), Some(_)) => {
                let (wanted, body) = block.take().unwrap();
                if wanted {
                    found.push(body);
                }
            }
            (Some((_, body)), None) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(block.is_none(), "a block without an end");
    found
}

/// The folders with the files that would be published, of both packages.
fn packages() -> [PathBuf; 2] {
    let target = Path::new(TMP).join("packages");
    let _ = fs::remove_dir_all(target.join("package"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(repository())
        .args(["package", "--offline", "--no-verify", "--allow-dirty"])
        .args(["-p", "piggyback-macros", "-p", "piggyback", "--target-dir"])
        .arg(&target)
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    ["piggyback-macros", "piggyback"].map(|name| {
        let name = format!("{name}-{}", env!("CARGO_PKG_VERSION"));
        let unpacked = Command::new("tar")
            .current_dir(target.join("package"))
            .args(["-xzf", &format!("{name}.crate")])
            .status()
            .expect("tar runs");
        assert!(unpacked.success(), "{name} is unpacked");
        target.join("package").join(name)
    })
}

/// The version of a crate in our lock file, which is one that is here.
fn locked(name: &str) -> String {
    let lock = fs::read_to_string(repository().join("Cargo.lock")).unwrap();
    let versions = lock
        .split_once(&format!("name = \"{name}\"\nversion = \""))
        .unwrap_or_else(|| panic!("`cargo add {name}`: our lock file has no such crate"));
    versions.1.split('"').next().unwrap().to_owned()
}

/// A line of a manifest out of a line of a shell.
fn dependency(line: &str, piggyback: &Path) -> Option<String> {
    let line = line.split('#').next()?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["cargo", "add", name, options @ ..] = &words[..] else {
        return None;
    };
    let features = options.iter().zip(options.iter().skip(1));
    let features: Vec<&str> = features
        .filter(|(option, _)| ["--features", "-F"].contains(*option))
        .flat_map(|(_, list)| list.split(','))
        .collect();
    let origin = match *name {
        "piggyback" => format!("path = {piggyback:?}"),
        other => format!("version = {:?}", locked(other)),
    };
    Some(format!(
        "{name} = {{ {origin}, features = {features:?} }}\n"
    ))
}

#[test]
fn examples_compile_and_run_in_a_new_crate_as_printed() {
    let [macros, piggyback] = packages();
    let commands = blocks(&["sh", "bash", "console"]).concat();
    let dependencies: String = commands
        .lines()
        .filter_map(|line| dependency(line, &piggyback))
        .collect();
    assert!(dependencies.contains("piggyback = "), "{commands}");
    let user = Fresh::new(
        TMP,
        "readme",
        &format!(
            "[dependencies]\n{dependencies}\n[patch.crates-io]\npiggyback-macros = {{ path = {macros:?} }}\n"
        ),
    );
    let examples = blocks(&["rust"]);
    assert!(!examples.is_empty(), "the README has no example");
    for (number, example) in examples.iter().enumerate() {
        let program = example.contains("fn main");
        let rest = if program { "" } else { "\nfn main() {}\n" };
        user.write(
            &format!("src/bin/example_{number}.rs"),
            &format!("{example}{rest}"),
        );
    }
    for number in 0..examples.len() {
        user.succeeds(&["run", "-q", "--bin", &format!("example_{number}")]);
    }
}
