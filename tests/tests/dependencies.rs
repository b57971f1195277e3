//! The packages that `piggyback` adds to a user's lock file.

use piggyback_tests::fresh::{Fresh, repository};

/// Without features.
const PACKAGES: [&str; 11] = [
    "foldhash",
    "hashbrown",
    "once_cell",
    "piggyback",
    "piggyback-macros",
    "pin-project-lite",
    "proc-macro2",
    "quote",
    "syn",
    "tokio",
    "unicode-ident",
];

/// The packages in the lock file of a new crate that depends on `piggyback` with these features.
fn locked(features: &[&str]) -> Vec<String> {
    let runtime = repository().join("runtime");
    let user = Fresh::new(
        env!("CARGO_TARGET_TMPDIR"),
        &format!("locked-{}", features.join("-")),
        &format!("[dependencies]\npiggyback = {{ path = {runtime:?}, features = {features:?} }}\n"),
    );
    user.succeeds(&["update", "--workspace"]);
    let lock = user.read("Cargo.lock");
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = "));
    names
        .map(|name| name.trim_matches('"').to_owned())
        .filter(|name| name != "user")
        .collect()
}

#[test]
fn without_features_a_lock_file_gets_these_packages_only() {
    assert_eq!(locked(&[]), PACKAGES);
}

#[test]
fn each_feature_adds_its_crate_and_no_other() {
    let features = ["tracing", "metrics", "anyhow", "eyre"];
    for feature in features {
        let all = locked(&[feature]);
        for ours in PACKAGES {
            assert!(all.iter().any(|name| name == ours), "{ours} in {all:?}");
        }
        for other in features {
            let there = all.iter().any(|name| name == other);
            assert_eq!(there, other == feature, "{other} in {all:?}");
        }
    }
}

#[test]
fn a_fleet_needs_a_format_and_no_client_of_a_store() {
    let all = locked(&["fleet"]);
    for there in ["serde", "rmp-serde"] {
        assert!(all.iter().any(|name| name == there), "{there} in {all:?}");
    }
    assert!(!all.iter().any(|name| name == "redis"), "{all:?}");
}
