//! An engine behind `ssh://`: a server with its usual limits, in front of the local engine.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::support::{PLANTED, STATE_HOME, engine, left_by, load_planted};

const SSHD: &str = "/usr/sbin/sshd";

/// A server with a key for one client, and the `ssh` that has it.
struct Server {
    folder: tempfile::TempDir,
    address: String,
    process: Child,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for key in ["host", "client"] {
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(at(key)).status();
            assert!(made.expect("ssh-keygen").success());
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nPermitRootLogin \
             yes\n",
            at("host").display(),
            at("client.pub").display()
        );
        std::fs::write(at("sshd_config"), text).expect("written");
        let text = format!(
            "Host *\n  IdentityFile {}\n  UserKnownHostsFile {}\n  StrictHostKeyChecking no\n  LogLevel ERROR\n",
            at("client").display(),
            at("known").display()
        );
        std::fs::write(at("ssh_config"), text).expect("written");
        let text = format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", at("ssh_config").display());
        std::fs::create_dir(at("bin")).expect("made");
        std::fs::write(at("bin/ssh"), text).expect("written");
        std::fs::set_permissions(at("bin/ssh"), std::fs::Permissions::from_mode(0o755)).expect("executable");
        std::fs::create_dir_all("/run/sshd").expect("made");
        let process = Command::new(SSHD).arg("-D").arg("-f").arg(at("sshd_config")).stderr(Stdio::null()).spawn();
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        let server =
            Self { address: format!("ssh://{user}@127.0.0.1:{port}"), process: process.expect("sshd"), folder };
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }

    /// The program with this server's address.
    fn exitone(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_exitone"));
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.folder.path().join("bin").display()));
        command.env("DOCKER_HOST", &self.address).env("XDG_STATE_HOME", STATE_HOME).arg("--no-progress");
        command.env("TMPDIR", self.folder.path());
        command
    }

    /// The processes of clients, by their command lines.
    fn clients(&self) -> Vec<String> {
        let mark = self.folder.path().join("ssh_config").display().to_string();
        let all = std::fs::read_dir("/proc").expect("/proc").flatten();
        let lines = all.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
        lines.filter(|line| line.contains(&mark)).collect()
    }

    /// The folders of forwardings.
    fn forwardings(&self) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.folder.path()).expect("listed").flatten().map(|entry| entry.path());
        all.filter(|path| path.to_string_lossy().contains("exitone-ssh-")).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill().and_then(|()| self.process.wait());
    }
}

#[tokio::test]
async fn one_forwarding_serves_all_connections_and_is_gone_after_a_kill() {
    let Some((engine, _one)) = engine().await else { return };
    if !Path::new(SSHD).exists() {
        eprintln!("skipped: no {SSHD}");
        return;
    }
    load_planted(engine.as_ref()).await;
    let server = Server::start().await;
    let service = server.folder.path().join("service.yaml");
    std::fs::write(&service, "port: 8000\nstart_command: /planted serve 0.0.0.0 8000\n").expect("written");
    // Names of one image: a case for each.
    let names: Vec<String> = (0..8).map(|n| format!("exitone-test/behind-ssh:{n}")).collect();
    for name in &names {
        engine.tag_image(PLANTED, name).await.expect("named");
    }
    let run = || {
        let mut command = server.exitone();
        command.args(["run", "--jobs", "8", "--service"]).arg(&service);
        command.args(names.iter().flat_map(|name| ["--image", name]));
        command
    };
    let output = run().output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((server.clients(), server.forwardings()), (vec![], vec![]));

    let mut killed = run().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
    while left_by(engine.as_ref(), Path::new(STATE_HOME)).await.len() < 4 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    killed.kill().expect("killed");
    killed.wait().expect("ended");
    let end = tokio::time::Instant::now() + Duration::from_secs(10);
    let mut left = vec![String::new()];
    while !left.is_empty() && tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(200)).await;
        left = server.clients();
        left.extend(server.forwardings().iter().map(|path| path.display().to_string()));
        left.extend(left_by(engine.as_ref(), Path::new(STATE_HOME)).await.into_iter().map(|found| found.id));
    }
    assert_eq!(left, Vec::<String>::new());
    for name in &names {
        engine.remove_image(name).await.expect("removed");
    }
}
