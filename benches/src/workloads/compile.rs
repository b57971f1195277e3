//! C: what the attributes cost the compiler. A crate with many annotated functions is checked, and the
//! same crate without the attributes, with the dependencies already built. And the crate itself is
//! built with its dependencies, from nothing.

use super::Workload;
use crate::{
    measure::{Plan, Progress, quartiles},
    record::{Column, Kind, Who},
    report::Table,
};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

const FUNCTIONS: usize = 300;

pub(crate) fn workload() -> Workload {
    Workload::Other("C", "compile time in seconds, debug, 300 functions", run)
}

fn run(plan: &Plan) -> Vec<Table> {
    let progress = Progress::new("C");
    let mut table = Table::new("C", workload().title(), vec![Column::timed("s")]);
    let outcome = race(plan, Bodies::Short, &progress, &mut table)
        .and_then(|()| clean_build(plan, &mut table));
    if let Err(reason) = outcome {
        table.notes.push(format!("not measured: {reason}"));
    }
    let title = "the same, with 15 more lines in each body";
    let mut long = Table::new("C 15", title, vec![Column::timed("s")]);
    if let Err(reason) = race(plan, Bodies::Long, &progress, &mut long) {
        long.notes.push(format!("not measured: {reason}"));
    }
    progress.done();
    vec![table, long]
}

/// The amount of code in a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bodies {
    Short,
    Long,
}

fn race(plan: &Plan, bodies: Bodies, progress: &Progress, table: &mut Table) -> Result<(), String> {
    let rounds = plan.rounds(9);
    let figures = check(&[FUNCTIONS], bodies, rounds, |what| progress.say(what))?;
    let [bare, annotated] = figures.into_iter().next().expect("one was asked for");
    let (bare, annotated) = (quartiles(bare), quartiles(annotated));
    let who = |name: &str, kind| Who {
        name: name.into(),
        kind,
    };
    table.push(who("with the attributes", Kind::Ours), vec![annotated]);
    table.push(who("without", Kind::Bound), vec![bare]);
    if bodies == Bodies::Short {
        table.goal("÷ without", annotated[1] / bare[1], 1.5);
    }
    Ok(())
}

fn clean_build(plan: &Plan, table: &mut Table) -> Result<(), String> {
    let mut seconds = Vec::new();
    for _ in 0..plan.rounds(3) {
        let folder = scratch("clean-build");
        let _ = fs::remove_dir_all(&folder);
        let manifest = runtime().join("Cargo.toml");
        seconds.push(cargo(&["build"], &manifest, &folder)?);
        let _ = fs::remove_dir_all(&folder);
    }
    let seconds = quartiles(seconds);
    let who = Who {
        name: "a clean build of piggyback and its dependencies".into(),
        kind: Kind::Bound,
    };
    table.goal("seconds of a clean build", seconds[1], 10.0);
    table.push(who, vec![seconds]);
    Ok(())
}

/// For each number of functions the seconds without and with the attributes, of each round.
pub(crate) fn check(
    functions: &[usize],
    bodies: Bodies,
    rounds: usize,
    say: impl Fn(&str),
) -> Result<Vec<[Vec<f64>; 2]>, String> {
    let mut figures = vec![[Vec::new(), Vec::new()]; functions.len()];
    for round in 0..=rounds {
        for (&n, figures) in functions.iter().zip(&mut figures) {
            for attributes in [false, true] {
                say(&format!("round {round}/{rounds}  {n} functions"));
                let with = if attributes { "with" } else { "without" };
                let folder = scratch(&format!("functions-{n}-{with}"));
                let manifest =
                    generate(&folder, n, bodies, attributes).map_err(|e| e.to_string())?;
                // The target folder is the same for all: the dependencies are built once.
                let seconds = cargo(&["check"], &manifest, &scratch("functions-target"))?;
                // The first round builds the dependencies.
                if round > 0 {
                    figures[usize::from(attributes)].push(seconds);
                }
            }
        }
    }
    Ok(figures)
}

fn runtime() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime")
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join("piggyback-benches").join(name)
}

/// The time that cargo takes.
fn cargo(arguments: &[&str], manifest: &Path, target: &Path) -> Result<f64, String> {
    let begun = Instant::now();
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .args(["--quiet", "--offline", "--manifest-path"])
        .arg(manifest)
        .env("CARGO_TARGET_DIR", target)
        // Each check is a whole one.
        .env("CARGO_INCREMENTAL", "0")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cargo can't be run: {error}"))?;
    let seconds = begun.elapsed().as_secs_f64();
    if output.status.success() {
        Ok(seconds)
    } else {
        let errors = String::from_utf8_lossy(&output.stderr);
        let first = errors.lines().find(|line| line.starts_with("error"));
        Err(first.unwrap_or("cargo failed").into())
    }
}

/// Writes the crate, anew, so that cargo checks it again, and gives its manifest.
fn generate(
    folder: &Path,
    functions: usize,
    bodies: Bodies,
    attributes: bool,
) -> std::io::Result<PathBuf> {
    fs::create_dir_all(folder.join("src"))?;
    // The versions of this workspace.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    fs::copy(lock, folder.join("Cargo.lock"))?;
    let with = if attributes { "with" } else { "without" };
    let manifest = folder.join("Cargo.toml");
    fs::write(
        &manifest,
        format!(
            "[workspace]\n\n[package]\nname = \"functions-{functions}-{with}\"\nversion = \"0.1.0\"\n\
             edition = \"2024\"\n\n[dependencies]\npiggyback = {{ path = {:?} }}\n",
            runtime()
        ),
    )?;
    fs::write(
        folder.join("src/lib.rs"),
        source(functions, bodies, attributes),
    )?;
    Ok(manifest)
}

/// The beginning of longer bodies: 15 lines as handlers and repositories have them.
const MORE: &str = r#"
    let began = std::time::Instant::now();
    let mut names: Vec<String> = Vec::new();
    for part in ["given", "family"].iter().filter(|part| part.len() > 3) {
        names.push(format!("{part}: {:?}", began.elapsed()));
    }
    let rows: std::collections::HashMap<u64, String> =
        names.into_iter().enumerate().map(|(at, name)| (at as u64, name)).collect();
    let longest = rows.values().map(String::len).max().unwrap_or_default();
    let found = match rows.get(&7) {
        Some(name) if name.starts_with("given") => Some(name.trim().to_owned()),
        Some(_) | None => None,
    };
    if let Some(name) = found.as_deref() {
        println!("{name} of {longest} in {} ms", began.elapsed().as_millis());
    }
"#;

/// Functions as services have them, of four kinds.
fn source(functions: usize, bodies: Bodies, attributes: bool) -> String {
    let mut source = String::from(
        "#![allow(unused)]\n\
         use std::sync::Arc;\n\
         #[derive(Debug, Clone)]\npub struct Pool;\n\
         #[derive(Debug, Clone)]\npub struct User { pub id: u64, pub name: String }\n\
         #[derive(Debug, Clone)]\npub struct Error(pub Arc<str>);\n\
         #[derive(Debug, Clone)]\npub struct Service { pub pool: Pool, pub tenant: u64 }\n\
         impl Pool {\n\
         \x20   pub async fn get(&self, id: u64) -> Result<User, Error> { Ok(User { id, name: id.to_string() }) }\n\
         \x20   pub async fn put(&self, users: &[User]) -> Result<(), Error> { Ok(()) }\n\
         }\n",
    );
    for i in 0..functions {
        let (attribute, function) = match i % 4 {
            0 => (
                "#[piggyback::dedup(skip(pool))]",
                format!(
                    "pub async fn user_{i}(pool: &Pool, id: u64) -> Result<User, Error> {{\n\
                     \x20   let user = pool.get(id).await?;\n\
                     \x20   if user.name.is_empty() {{ return Err(Error(\"nameless\".into())); }}\n\
                     \x20   Ok(user)\n}}\n"
                ),
            ),
            1 => (
                "#[piggyback::dedup]",
                format!(
                    "pub async fn length_{i}(name: &str, language: Option<&str>) -> usize {{\n\
                     \x20   name.len() + language.map_or(0, str::len)\n}}\n"
                ),
            ),
            2 => (
                "#[piggyback::batch(size = 100, delay_ms = 10, skip(pool))]",
                format!(
                    "pub async fn save_{i}(pool: &Pool, users: &[User]) -> Result<(), Error> {{\n\
                     \x20   pool.put(users).await\n}}\n"
                ),
            ),
            _ => (
                "#[piggyback::dedup(key(self = self.tenant))]",
                format!(
                    "pub async fn find_{i}(&self, id: u64) -> Result<User, Error> {{\n\
                     \x20   self.pool.get(id).await\n}}\n"
                ),
            ),
        };
        let method = i % 4 == 3;
        if method {
            source.push_str("impl Service {\n");
        }
        if attributes {
            let _ = writeln!(source, "{attribute}");
        }
        if bodies == Bodies::Long {
            source.push_str(&function.replacen("{\n", &format!("{{\n{MORE}"), 1));
        } else {
            source.push_str(&function);
        }
        if method {
            source.push_str("}\n");
        }
    }
    source
}
