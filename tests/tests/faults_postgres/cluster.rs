//! A PostgreSQL cluster of the test's own, to be stopped and started.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    pub port: u16,
}

impl Cluster {
    /// Makes and starts one, where the programs for it are.
    pub fn new() -> Result<Self, String> {
        let programs = programs().ok_or("no `initdb` in /usr/lib/postgresql/*/bin or in PATH")?;
        let folder = std::env::temp_dir().join(format!("piggyback-faults-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let port = free.map_err(|error| error.to_string())?.port();
        let cluster = Self {
            programs,
            folder,
            port,
        };
        if is_root() {
            // The server refuses to run as root.
            let owned = Command::new("chown")
                .arg("postgres")
                .arg(&cluster.folder)
                .status();
            if !owned.is_ok_and(|status| status.success()) {
                return Err("run by root, and there is no user `postgres`".into());
            }
        }
        let data = cluster.data();
        let data = data.to_str().ok_or("a path that is no text")?;
        cluster.run(
            "initdb",
            &["-D", data, "-A", "trust", "-U", "postgres", "--no-sync"],
        )?;
        cluster.start()?;
        Ok(cluster)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn start(&self) -> Result<(), String> {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off",
            self.port
        );
        let (data, log) = (self.data(), self.folder.join("log"));
        let (data, log) = (data.to_string_lossy(), log.to_string_lossy());
        let arguments = ["-D", &data, "-l", &log, "-w", "-o", &options, "start"];
        self.run("pg_ctl", &arguments).map(drop)
    }

    /// Stops it: `fast` cancels what is running, `immediate` is as good as a crash.
    pub fn stop(&self, how: &str) -> Result<(), String> {
        let data = self.data();
        let arguments = ["-D", &data.to_string_lossy(), "-m", how, "-w", "stop"];
        self.run("pg_ctl", &arguments).map(drop)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<Output, String> {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        // The server must not inherit a pipe, which would never be closed.
        let file = std::fs::File::create(self.folder.join("said")).map_err(|it| it.to_string())?;
        let output = command
            .args(arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(|it| it.to_string())?)
            .stderr(file)
            .output()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        if output.status.success() {
            return Ok(output);
        }
        let said = std::fs::read_to_string(self.folder.join("said")).unwrap_or_default();
        Err(format!("{}: {said}", program.display()))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.stop("immediate");
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout == b"0\n")
}

fn programs() -> Option<PathBuf> {
    let has = |folder: &Path| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file();
    let installed = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let installed = installed
        .flatten()
        .map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    installed.chain(in_path).find(|folder| has(folder))
}
