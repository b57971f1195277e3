//! A new crate in a folder of its own, as a user would make it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The root of the repository.
pub fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("the tests are in a folder of it").to_owned()
}

/// A new crate.
#[derive(Debug)]
pub struct Fresh {
    folder: PathBuf,
}

impl Fresh {
    /// Makes one in `target/tmp`, with this after the `[package]` section of its manifest.
    ///
    /// Our lock file is its start: the versions that it names are here already, cargo removes those that the crate does not
    /// need, and the outcome does not change with the registry.
    pub fn new(tmp: &str, name: &str, manifest: &str) -> Self {
        let folder = Path::new(tmp).join(name);
        // A file of an earlier run may have another meaning by now.
        let _ = fs::remove_dir_all(folder.join("src"));
        let this = Self { folder };
        this.write("src/lib.rs", "");
        let package = "workspace = {}\n\n[package]\nname = \"user\"\nedition = \"2024\"\n\n";
        this.write("Cargo.toml", &format!("{package}{manifest}"));
        let lock = this.folder.join("Cargo.lock");
        fs::copy(repository().join("Cargo.lock"), lock).expect("the lock file is copied");
        this
    }

    /// Writes a file of it.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
        fs::write(path, text).expect("the file is written");
    }

    /// Reads a file of it.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.join(path)).expect("the file is read")
    }

    /// Runs cargo in it, without a network, in a target folder that all of them share.
    pub fn cargo(&self, arguments: &[&str]) -> Output {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Command::new(cargo)
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", self.folder.with_file_name("fresh"))
            .env("CARGO_TERM_COLOR", "never")
            .args(arguments)
            .arg("--offline")
            .output()
            .expect("cargo runs")
    }

    /// The same, if it must succeed.
    pub fn succeeds(&self, arguments: &[&str]) {
        let output = self.cargo(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo {arguments:?}: {said}");
    }
}
