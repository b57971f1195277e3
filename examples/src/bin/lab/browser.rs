//! The test of the page, in a headless Chromium: the page loads `test.js`, which uses it as a visitor would, and reports.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// A browser that can be driven: the one that `CHROME` names, or one in `PATH`.
pub(crate) fn find() -> Option<PathBuf> {
    if let Some(chrome) = std::env::var_os("CHROME") {
        return Some(chrome.into());
    }
    let path = std::env::var_os("PATH")?;
    let names = [
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    ];
    std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|file| file.is_file())
}

fn open(browser: &Path, profile: &Path, arguments: &[String]) -> std::io::Result<Child> {
    Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

pub(crate) async fn check(
    browser: &Path,
    address: SocketAddr,
    mut results: mpsc::Receiver<Result<String, String>>,
    screenshots: Option<&Path>,
) -> anyhow::Result<()> {
    let profile = tempfile::tempdir()?;
    let url = format!("http://{address}/");
    // `--remote-debugging-port` keeps the browser open; without a task, a headless one ends at once.
    let arguments = ["--remote-debugging-port=0".into(), format!("{url}?test")];
    let mut child = open(browser, profile.path(), &arguments)
        .with_context(|| format!("can't start {}", browser.display()))?;
    let result = timeout(Duration::from_secs(90), results.recv()).await;
    child.kill().await?;
    match result {
        Ok(Some(Ok(what))) => println!("ok: {what}"),
        Ok(Some(Err(failure))) => bail!("in the browser: {failure}"),
        Ok(None) | Err(_) => bail!("the page has not reported within 90 s"),
    }
    if let Some(folder) = screenshots {
        std::fs::create_dir_all(folder)?;
        // So that the curves are long.
        sleep(Duration::from_secs(15)).await;
        for (name, size, dark) in [
            ("lab-light", "1200,1180", false),
            ("lab-dark", "1200,1180", true),
            ("lab-phone", "500,2300", false),
        ] {
            let file = folder.join(format!("{name}.png"));
            let mut arguments = vec![
                format!("--window-size={size}"),
                format!("--screenshot={}", file.display()),
                "--virtual-time-budget=3000".into(),
            ];
            if dark {
                arguments.push("--blink-settings=preferredColorScheme=0".into());
            }
            arguments.push(url.clone());
            let mut child = open(browser, profile.path(), &arguments)?;
            timeout(Duration::from_secs(30), child.wait()).await??;
            ensure!(file.is_file(), "no screenshot {}", file.display());
            println!("{}", file.display());
        }
    }
    Ok(())
}
