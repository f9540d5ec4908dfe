//! What a release has: the archives and the formula that `ci/release.sh` packs, and the installer that checks them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::executable;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const MACHINES: [&str; 5] = ["linux-amd64", "linux-arm64", "macos-amd64", "macos-arm64", "windows-amd64"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect(path)
}

/// A value of Cargo.toml.
fn field(name: &str) -> String {
    let begin = format!("{name} = \"");
    let manifest = read("Cargo.toml");
    let line = manifest.lines().find_map(|line| line.strip_prefix(&begin)).expect(name);
    line.trim_end_matches('"').to_owned()
}

/// Whether this machine has all of these programs.
fn has(programs: &[&str]) -> bool {
    programs.iter().all(|program| {
        Command::new("sh").args(["-c", &format!("command -v {program}")]).output().is_ok_and(|out| out.status.success())
    })
}

/// Packs a release of scripts that stand for the programs; `None` where this machine cannot.
fn packed(folder: &Path) -> Option<PathBuf> {
    if !has(&["bash", "tar", "gzip", "sha256sum"]) {
        return None;
    }
    for machine in MACHINES {
        let name = if machine.starts_with("windows") { "exitone.exe" } else { "exitone" };
        let script = format!(
            "#!/bin/sh\ncase $1 in\n--version) echo 'exitone {VERSION} for {machine}' ;;\ncompletions) echo $2 ;;\nman) mkdir \
             -p $3 && echo page >$3/exitone.1 ;;\nesac\n"
        );
        executable(&folder.join("binaries").join(machine).join(name), &script);
    }
    let (binaries, out) = (folder.join("binaries"), folder.join("dist"));
    let output = release(&[VERSION, &binaries.display().to_string(), &out.display().to_string()], "");
    assert!(output.status.success(), "{output:?}");
    Some(out)
}

fn release(words: &[&str], repository: &str) -> Output {
    let script = root().join("ci/release.sh");
    Command::new("bash").arg(script).args(words).env("GITHUB_REPOSITORY", repository).output().expect("bash")
}

/// Runs install.sh with the release in `dist`, on a machine of this kind.
fn install(folder: &Path, dist: &Path, (system, machine): (&str, &str)) -> Output {
    let releases = folder.join("releases");
    let place = releases.join(format!("download/v{VERSION}"));
    std::fs::create_dir_all(place.parent().expect("a folder")).expect("made");
    if !place.exists() {
        std::os::unix::fs::symlink(dist, &place).expect("linked");
    }
    let uname = format!("#!/bin/sh\n[ \"$1\" = -m ] && echo {machine} || echo {system}\n");
    executable(&folder.join("programs/uname"), &uname);
    let path = format!("{}:{}", folder.join("programs").display(), std::env::var("PATH").unwrap_or_default());
    Command::new("sh")
        .arg(root().join("install.sh"))
        .env("PATH", path)
        .env("EXITONE_VERSION", VERSION)
        .env("EXITONE_RELEASES", format!("file://{}", releases.display()))
        .env("EXITONE_BIN", folder.join("bin"))
        .output()
        .expect("sh")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn release_has_archives_checksums_and_a_formula() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(dist) = packed(folder.path()) else { return };
    let sums = std::fs::read_to_string(dist.join("SHA256SUMS")).expect("sums");
    let mut names: Vec<&str> = sums.lines().filter_map(|line| line.split("  ").nth(1)).collect();
    names.sort_unstable();
    let mut expected: Vec<String> = MACHINES.iter().map(|machine| format!("exitone-{machine}.tar.gz")).collect();
    expected.extend(["exitone.rb".to_owned(), "install.sh".to_owned()]);
    assert_eq!(names, expected);
    let list = |machine: &str| {
        let archive = dist.join(format!("exitone-{machine}.tar.gz"));
        let output = Command::new("tar").arg("-tzf").arg(archive).output().expect("tar");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for member in ["exitone", "LICENSE-MIT", "completions/exitone.bash", "completions/_exitone", "man/exitone.1"] {
        assert!(list("linux-amd64").contains(&format!("exitone-linux-amd64/{member}\n")), "{member}");
    }
    assert!(list("macos-arm64").contains("exitone-macos-arm64/exitone-linux-amd64\n"), "what runs in containers");
    let formula = std::fs::read_to_string(dist.join("exitone.rb")).expect("a formula");
    assert!(!formula.contains('@'), "{formula}");
    for line in sums.lines().filter(|line| line.contains(".tar.gz") && !line.contains("windows")) {
        let (sum, archive) = line.split_once("  ").expect("a sum");
        assert!(formula.contains(&format!("/v{VERSION}/{archive}\"\n      sha256 \"{sum}\"")), "{archive}: {formula}");
    }
}

#[test]
fn release_is_of_the_version_and_the_repository_of_the_manifest() {
    let repository = field("repository");
    let of_manifest = repository.strip_prefix("https://github.com/").expect("a repository on GitHub");
    assert!(release(&[VERSION], of_manifest).status.success());
    let other = release(&["9.9.9"], "");
    assert!(!other.status.success() && said(&other).contains("Cargo.toml says"), "{other:?}");
    let other = release(&[VERSION], "someone/else");
    assert!(!other.status.success() && said(&other).contains("someone/else"), "{other:?}");
    assert!(read("install.sh").contains(&format!("\nrepository={repository}\n")));
}

#[test]
fn installer_puts_the_program_of_this_machine_into_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(dist) = packed(folder.path()).filter(|_| has(&["curl"])) else { return };
    for (kind, machine) in [(("Linux", "x86_64"), "linux-amd64"), (("Darwin", "arm64"), "macos-arm64")] {
        let output = install(folder.path(), &dist, kind);
        assert!(output.status.success(), "{output:?}");
        assert!(said(&output).contains(&format!("installed exitone {VERSION} for {machine} in ")), "{output:?}");
    }
    assert!(folder.path().join("bin/exitone-linux-amd64").is_file(), "what runs in containers, on macOS");
    let output = install(folder.path(), &dist, ("Plan9", "mips"));
    assert!(!output.status.success() && said(&output).contains("cargo install"), "{output:?}");
}

#[test]
fn installer_installs_nothing_whose_checksum_is_wrong_or_missing() {
    for (change, expected) in [
        ("printf x >>exitone-linux-amd64.tar.gz", "nothing is installed"),
        ("sed -i /exitone-linux-amd64/d SHA256SUMS", "SHA256SUMS has no checksum of exitone-linux-amd64.tar.gz"),
        ("sed -i 's/^./z/' SHA256SUMS", "SHA256SUMS has no checksum"),
        ("rm SHA256SUMS", "cannot download"),
        ("rm exitone-linux-amd64.tar.gz", "cannot download"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let Some(dist) = packed(folder.path()).filter(|_| has(&["curl"])) else { return };
        let changed = Command::new("sh").args(["-c", change]).current_dir(&dist).status().expect("sh");
        assert!(changed.success(), "{change}");
        let output = install(folder.path(), &dist, ("Linux", "x86_64"));
        assert!(!output.status.success() && said(&output).contains(expected), "{change}: {output:?}");
        assert!(!folder.path().join("bin").exists(), "{change}");
    }
}

#[test]
fn binstall_finds_the_archives_of_linux() {
    let manifest = read("Cargo.toml");
    for (machine, target) in [("linux-amd64", "x86_64"), ("linux-arm64", "aarch64")] {
        for libc in ["musl", "gnu"] {
            let begin = format!("[package.metadata.binstall.overrides.{target}-unknown-linux-{libc}]\n");
            let (_, section) = manifest.split_once(&begin).expect(&begin);
            let section = section.split("\n[").next().unwrap_or(section);
            let url = format!("pkg-url = \"{{ repo }}/releases/download/v{{ version }}/exitone-{machine}.tar.gz\"");
            let inside = format!("bin-dir = \"exitone-{machine}/{{ bin }}{{ binary-ext }}\"");
            assert!(section.contains(&url) && section.contains(&inside), "{section}");
        }
    }
}
