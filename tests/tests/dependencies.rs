//! What comes along with `piggyback`: with a feature its crate, without it nothing of the kind.

use std::path::Path;
use std::process::Command;

/// The names of all that is built for `piggyback` with these features.
fn dependencies(features: &[&str]) -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .args(["tree", "--package", "piggyback"])
        .args(["--edges", "normal,build", "--prefix", "none"])
        .args(["--format", "{p}", "--features", &features.join(",")])
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8(output.stdout).expect("names are UTF-8");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn without_features_nothing_comes_along_to_be_seen_with() {
    let all = dependencies(&[]);
    for ours in ["piggyback", "piggyback-macros", "tokio"] {
        assert!(all.iter().any(|name| name == ours), "{ours} in {all:?}");
    }
    let others = [
        "tracing",
        "tracing-core",
        "metrics",
        "anyhow",
        "eyre",
        "serde",
        "rmp-serde",
    ];
    for other in others {
        assert!(!all.iter().any(|name| name == other), "{other} in {all:?}");
    }
}

#[test]
fn each_feature_brings_its_crate_and_no_other() {
    let features = ["tracing", "metrics", "anyhow", "eyre"];
    for feature in features {
        let all = dependencies(&[feature]);
        for other in features {
            let there = all.iter().any(|name| name == other);
            assert_eq!(there, other == feature, "{other} in {all:?}");
        }
    }
}

#[test]
fn a_fleet_needs_a_format_and_no_client_of_a_store() {
    let all = dependencies(&["fleet"]);
    for there in ["serde", "rmp-serde"] {
        assert!(all.iter().any(|name| name == there), "{there} in {all:?}");
    }
    assert!(!all.iter().any(|name| name == "redis"), "{all:?}");
}
