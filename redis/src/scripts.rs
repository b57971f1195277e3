//! The scripts, by name, with the digest by which a server knows them.

use std::sync::LazyLock;

/// A script as it is sent.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) text: String,
    pub(crate) digest: String,
}

#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) join: Script,
    pub(crate) look: Script,
    pub(crate) renew: Script,
    pub(crate) close: Script,
    pub(crate) land: Script,
    pub(crate) forget: Script,
}

pub(crate) static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| {
    let file = include_str!("scripts.lua");
    let part = |name: &str| {
        let begin = file.find(&format!("--#{name}")).expect("it is in the file");
        let body = &file[begin + 3..];
        &body[..body.find("--#").unwrap_or(body.len())]
    };
    let script = |name| {
        // Comments stay here.
        let lines = [part("HEAD"), part(name)];
        let lines = lines.iter().flat_map(|part| part.lines().skip(1));
        let lines = lines.filter(|line| !line.trim_start().starts_with("--"));
        let text = lines
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("\n");
        let digest = sha1_smol::Sha1::from(&text).digest().to_string();
        Script { text, digest }
    };
    Scripts {
        join: script("JOIN"),
        look: script("LOOK"),
        renew: script("RENEW"),
        close: script("CLOSE"),
        land: script("LAND"),
        forget: script("FORGET"),
    }
});
