//! The packages that `piggyback` adds to a user's lock file.

use std::fs;
use std::path::Path;
use std::process::Command;

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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("locked-{}", features.join("-")));
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(folder.join("src/lib.rs"), "").unwrap();
    let runtime = root.join("runtime");
    let manifest = format!(
        "workspace = {{}}\n[package]\nname = \"user\"\nedition = \"2024\"\n[dependencies]\npiggyback = {{ path = {runtime:?}, features = {features:?} }}\n",
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    // Cargo takes the versions of a lock file that is there, and removes what the crate does not need. So nothing has to be
    // downloaded, and the answer does not change with the registry.
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(&folder)
        .args(["update", "--workspace", "--offline"])
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lock = fs::read_to_string(folder.join("Cargo.lock")).unwrap();
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
