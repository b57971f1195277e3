//! The files of the published packages that have to agree with others in the repository.

use std::fs;
use std::path::Path;

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn each_package_holds_both_licences() {
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        for package in ["runtime", "macros", "redis"] {
            assert!(
                file(licence) == file(&format!("{package}/{licence}")),
                "{package}/{licence} is not the file in the root"
            );
        }
    }
}

/// The targets of all links and pictures in a Markdown text: `[…](target)`, `[…]: target`, `href="target"`, `src="target"`,
/// `srcset="target"`.
fn links(text: &str) -> Vec<String> {
    let mut code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        }
        if code {
            continue;
        }
        for (before, end) in [
            ("](", ')'),
            ("href=\"", '"'),
            ("src=\"", '"'),
            ("srcset=\"", '"'),
        ] {
            for (at, _) in line.match_indices(before) {
                let target = &line[at + before.len()..];
                found.extend(target.split([end, ' ']).next().map(str::to_owned));
            }
        }
        if let Some((label, target)) = line.split_once("]: ")
            && label.starts_with('[')
        {
            found.push(target.to_owned());
        }
    }
    found
}

/// A registry shows a README without the files beside it.
#[test]
fn links_and_pictures_of_the_readmes_are_absolute() {
    for readme in ["README.md", "macros/README.md", "redis/README.md"] {
        let all = links(&file(readme));
        assert!(!all.is_empty(), "{readme} has no links");
        for link in all {
            assert!(
                link.starts_with("https://") || link.starts_with('#'),
                "{readme}: `{link}` leads nowhere in a registry"
            );
        }
    }
}

/// The Markdown files of the documentation, and the README.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned()];
    for folder in ["runtime/docs", "runtime/docs/guide"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(folder);
        let files = fs::read_dir(&path).unwrap().map(|file| file.unwrap());
        pages.extend(
            files
                .filter_map(|file| file.file_name().into_string().ok())
                .filter(|name| name.ends_with(".md"))
                .map(|name| format!("{folder}/{name}")),
        );
    }
    pages
}

/// `https://github.com/…/blob/main/path` and its like lead to files that exist.
#[test]
fn links_into_the_repository_lead_to_files() {
    let repository = "piggyback-rs/piggyback/";
    let mut checked = 0;
    for page in pages() {
        for link in links(&file(&page)) {
            let Some((_, path)) = link.split_once(repository) else {
                continue;
            };
            let path = path.trim_start_matches("blob/").trim_start_matches("tree/");
            let Some(path) = path.strip_prefix("main/") else {
                continue;
            };
            let path = path.split('#').next().unwrap();
            let there = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
            assert!(there.exists(), "{page}: {link}: there is no {path}");
            checked += 1;
        }
    }
    assert!(
        checked > 20,
        "few links lead into the repository: {checked}"
    );
}

/// The promises in the documentation name no tests; the table beside the tests does, for each of them.
#[test]
fn the_tests_of_the_guarantees_exist() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let guarantees = file("runtime/docs/guarantees.md");
    let mut checked = 0;
    for line in file("tests/GUARANTEES.md").lines() {
        if let Some(code) = line.strip_prefix("Code in `runtime/src`: ") {
            let words = code.split('`').skip(1).step_by(2);
            for path in words.filter(|word| word.ends_with(".rs")) {
                file(&format!("runtime/src/{path}"));
            }
        }
        let Some((promise, names)) = line
            .strip_prefix("| ")
            .and_then(|line| line.strip_suffix(" |"))
            .and_then(|line| line.rsplit_once(" | "))
            .filter(|(promise, _)| *promise != "promise")
        else {
            continue;
        };
        assert!(
            guarantees.contains(promise),
            "tests/GUARANTEES.md has a sentence that is not in runtime/docs/guarantees.md: {promise}"
        );
        if names.starts_with("unit tests") {
            continue;
        }
        // `file`: `test`, `test`; `file`: `test`
        for part in names.split("; ") {
            let mut words = part.split('`').skip(1).step_by(2);
            let name = words.next().expect("a file");
            let text = [format!("{name}.rs"), format!("{name}/main.rs")]
                .iter()
                .find_map(|file| fs::read_to_string(tests.join(file)).ok());
            let text = text.unwrap_or_else(|| panic!("there is no file of tests {name}"));
            for test in words {
                assert!(
                    text.contains(&format!("fn {test}(")),
                    "{name} has no test {test}"
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 0, "the table names no test");
}
