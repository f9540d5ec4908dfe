//! Images of the rows of a table: shared layers of packages, and each row's files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use exitone::engine::Engine;
use exitone::engine::archive::{Layer, NewImage};
use exitone::images::debian::{Extraction, extract};
use exitone::images::{Source, digest, has, pack_folder, python_base, python_compile, python_packages};

use serde::Deserialize;
use serde_json::Value;

use super::kept;
use super::support::exitone;

/// The packages of the Debian base.
const DEBIAN: [&str; 7] = ["nodejs", "nginx-light", "dash", "coreutils", "base-files", "base-passwd", "libc-bin"];
/// The packages of the small base.
const SMALL: [&str; 5] = ["python3-minimal", "dash", "coreutils", "base-files", "base-passwd"];
const DEBIAN_SCRIPT: &str = r#"
cp "$1"/usr/share/base-passwd/passwd.master "$1"/etc/passwd
cp "$1"/usr/share/base-passwd/group.master "$1"/etc/group
if [ -e "$1"/usr/sbin/nginx ]; then mkdir -p "$1"/var/log/nginx "$1"/var/lib/nginx; fi
rm -rf "$1"/usr/share/man "$1"/usr/share/doc "$1"/usr/share/locale "$1"/usr/share/nodejs/corepack
"#;
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What python:slim has beside Python, for packages that need it.
const BESIDE_PYTHON: [&str; 2] = ["libstdc++6", "tzdata"];

/// The base of an image.
#[derive(Deserialize, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Base {
    /// The Python base with the candidates' packages and those of `requirements.txt`.
    #[default]
    Python,
    /// The same, with what python:slim has beside Python.
    Slim,
    /// Node.js and nginx from Debian's packages.
    Debian,
    /// A shell and a bare Python.
    Small,
}

/// The image of a row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its name on the engine.
    pub tag: String,
    /// The folder of its files.
    pub folder: PathBuf,
    /// Names at the top of the folder that are not part of the image.
    pub left_out: &'static [&'static str],
    pub base: Base,
    /// The packages of a Python base, if they are its own.
    pub requirements: Option<PathBuf>,
    pub architecture: String,
    /// The architecture of its programs.
    pub machine: String,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub user: String,
    pub env: BTreeMap<String, String>,
}

impl Row {
    /// An image for amd64 on the Python base, of which nothing else is known.
    pub(crate) fn new(tag: String, folder: PathBuf) -> Self {
        Self {
            tag,
            folder,
            left_out: &[],
            base: Base::Python,
            requirements: None,
            architecture: "amd64".to_owned(),
            machine: "amd64".to_owned(),
            entrypoint: Vec::new(),
            cmd: Vec::new(),
            user: String::new(),
            env: BTreeMap::new(),
        }
    }
}

/// Which rows of a table run: those that its variable lists (`EXITONE_FIELD=F14,F50`), all with `EXITONE_ALL=1` and where
/// a page is written, else a few.
pub(crate) struct Wanted {
    /// `None` for all.
    ids: Option<Vec<String>>,
    is_listed: bool,
}

impl Wanted {
    pub(crate) fn of(variable: &str, few: &[&str]) -> Self {
        let listed = std::env::var(variable).ok();
        let all = ["EXITONE_ALL", "EXITONE_UPDATE_DOCS"].iter().any(|name| std::env::var_os(name).is_some());
        let ids = match &listed {
            Some(ids) => Some(ids.split(',').map(str::to_owned).collect()),
            None if all => None,
            None => Some(few.iter().map(|id| (*id).to_owned()).collect()),
        };
        Self { ids, is_listed: listed.is_some() }
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.iter().any(|wanted| wanted == id))
    }

    /// Whether every row runs.
    pub(crate) fn is_all(&self) -> bool {
        self.ids.is_none()
    }

    /// Whether the variable lists the rows.
    pub(crate) fn is_listed(&self) -> bool {
        self.is_listed
    }
}

/// What `exitone why` says of an image, with these files. If the variable names a folder, the answer is written there, for
/// reading.
pub(crate) fn why(tag: &str, files: &[(&str, PathBuf)], (variable, name): (&str, &str)) -> Value {
    let mut command = exitone();
    command.args(["why", tag, "--format", "json"]);
    for (flag, file) in files {
        command.arg(flag).arg(file);
    }
    let output = command.output().expect("it runs");
    let err = String::from_utf8_lossy(&output.stderr);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| Value::from(format!("{e}: {err}")));
    if let Some(to) = std::env::var_os(variable) {
        let file = Path::new(&to).join(name);
        std::fs::write(file.with_extension("json"), format!("{answer:#}")).expect("written");
        std::fs::write(file.with_extension("err"), err.as_bytes()).expect("written");
    }
    answer
}

/// Builds the image of the real database if one of the services asks for it.
pub(crate) async fn build_database(engine: &dyn Engine, mut services: impl Iterator<Item = String>) {
    if services.any(|service| service.contains("exitone/postgres:latest")) {
        exitone::images::build(engine, &["postgres".to_owned()], &Source::default(), &|_| {}).await.expect("built");
    }
}

/// Builds and loads the images that are missing or outdated.
pub(crate) async fn build(engine: &dyn Engine, rows: &[Row]) {
    let service = |row: &Row| std::fs::read_to_string(row.folder.join("service.yaml")).unwrap_or_default();
    build_database(engine, rows.iter().map(service)).await;
    let mut missing = Vec::new();
    for row in rows {
        let label = content(row);
        if !has(engine, &row.tag, &label).await.expect("an engine") {
            missing.push((row, label));
        }
    }
    if missing.is_empty() {
        return;
    }
    let work = tempfile::tempdir().expect("a folder");
    let kind = |row: &Row| (row.base, row.machine.clone(), requirements(row));
    let kinds: BTreeSet<(Base, String, String)> = missing.iter().map(|(row, _)| kind(row)).collect();
    let mut bases: BTreeMap<(Base, String, String), Vec<Layer>> = BTreeMap::new();
    for of in kinds {
        let made = layers(engine, of.0, &of.1, &of.2, work.path()).await;
        bases.insert(of, made);
    }
    let mut images = Vec::new();
    for (row, label) in &missing {
        images.push(image(row, label, bases[&kind(row)].clone(), work.path()));
    }
    kept::load(engine, &images, work.path()).await;
}

/// The digest of everything that goes into the image.
fn content(row: &Row) -> String {
    let made_of = format!(
        "{:?} {} {:?} {:?} {:?} {:?} {} {DEBIAN:?} {SMALL:?} {DEBIAN_SCRIPT} {}",
        row.base,
        row.architecture,
        row.entrypoint,
        row.cmd,
        row.user,
        row.env,
        row.machine,
        requirements(row)
    );
    let mut parts = vec![made_of.into_bytes()];
    for (name, bytes) in files(row) {
        parts.extend([name.into_bytes(), bytes]);
    }
    digest(&parts)
}

/// The packages of a row's base.
fn requirements(row: &Row) -> String {
    let shared = concat!(include_str!("../../images/requirements.txt"), include_str!("field/requirements.txt"));
    row.requirements.as_ref().map_or_else(
        || shared.to_owned(),
        |own| std::fs::read_to_string(own).unwrap_or_else(|e| panic!("{}: {e}", own.display())),
    )
}

/// The files of a row, except its service file.
fn files(row: &Row) -> BTreeMap<String, Vec<u8>> {
    let root = row.folder.clone();
    let mut found = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(&root).expect("below").display().to_string();
            if path.is_dir() {
                folders.push(path);
            } else if !row.left_out.contains(&name.as_str()) {
                found.insert(name, std::fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

/// The layers shared by rows, from the lowest up.
async fn layers(engine: &dyn Engine, base: Base, architecture: &str, requirements: &str, work: &Path) -> Vec<Layer> {
    let source = Source::default();
    let debian = async |name, packages: &[&str], script: &str| {
        let made_of = [packages.join(" ").into_bytes(), script.as_bytes().to_vec()];
        let what = Extraction { name, architecture, packages, script: script.to_owned() };
        let make = async || vec![extract(&what, &source, work).await.expect("Debian's packages")];
        kept_layers(&format!("{name}-{architecture}"), &made_of, make).await
    };
    match base {
        Base::Debian => debian("Debian base", &DEBIAN, DEBIAN_SCRIPT).await,
        Base::Small => debian("small base", &SMALL, DEBIAN_SCRIPT).await,
        Base::Python | Base::Slim => {
            let name = format!("python-{architecture}");
            let version = kept_folder().join(format!("{name}-version"));
            let base_layers = kept_layers(&name, &[], async || {
                let base = python_base(engine, &source, architecture, work).await.expect("the Python base");
                std::fs::write(&version, base.python).expect("written");
                base.layers
            });
            let mut layers = base_layers.await;
            let python = std::fs::read_to_string(&version).expect("the version");
            let made_of = [requirements.as_bytes().to_vec()];
            let name = format!("site-{architecture}");
            let site = kept_layers(&name, &made_of, async || {
                vec![site_packages(requirements, &python, architecture, work).await]
            });
            layers.extend(site.await);
            if base == Base::Slim {
                let script = "rm -rf \"$1\"/usr/share/man \"$1\"/usr/share/doc";
                layers.extend(debian("beside Python", &BESIDE_PYTHON, script).await);
            }
            layers
        }
    }
}

async fn site_packages(requirements: &str, python: &str, architecture: &str, work: &Path) -> Layer {
    let list = work.join("requirements.txt");
    std::fs::write(&list, requirements).expect("written");
    let site = work.join(format!("site-{architecture}-{}", &digest(&[requirements.as_bytes().to_vec()])[..12]));
    python_packages(&list, python, architecture, &site).await.expect("the packages");
    python_compile(&site, python).await.expect("compiled");
    let tar = site.with_extension("tar");
    pack_folder(&site, "opt/site", &tar).expect("packed");
    Layer::of_file(&tar).expect("a layer")
}

/// Where layers are kept for the tables and runs to come.
fn kept_folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Layers of this content: those that are kept, else new ones, which are kept.
async fn kept_layers(name: &str, made_of: &[Vec<u8>], make: impl AsyncFnOnce() -> Vec<Layer>) -> Vec<Layer> {
    let folder = kept_folder().join(format!("layers-{}-{}", name.replace(' ', "-"), &digest(made_of)[..12]));
    if !folder.is_dir() {
        eprintln!("making the layers {name}");
        let partial = tempfile::tempdir_in(kept_folder()).expect("a folder");
        for (n, layer) in make().await.iter().enumerate() {
            let exitone::engine::archive::Blob::File(from) = &layer.blob else { panic!("a layer is a file") };
            std::fs::copy(from, partial.path().join(format!("{n:02}.tar"))).expect("copied");
        }
        std::fs::rename(partial.keep(), &folder).expect("kept");
    }
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files.iter().map(|file| Layer::of_file(file).expect("a layer")).collect()
}

fn image(row: &Row, label: &str, mut layers: Vec<Layer>, work: &Path) -> NewImage {
    let id = row.tag.replace(['/', ':'], "-");
    let app = work.join(&id);
    for (name, bytes) in files(row) {
        let path = app.join(&name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(&path, bytes).expect("written");
        if name.ends_with(".sh") {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("made executable");
        }
    }
    if app.is_dir() {
        let tar = work.join(format!("{id}.tar"));
        pack_folder(&app, "app", &tar).expect("packed");
        layers.push(Layer::of_file(&tar).expect("a layer"));
    }
    let mut env = BTreeMap::from([("PATH", PATH), ("LANG", "C.UTF-8")].map(|(n, v)| (n.to_owned(), v.to_owned())));
    if matches!(row.base, Base::Python | Base::Slim) {
        env.insert("PYTHONPATH".to_owned(), "/app:/opt/site".to_owned());
    }
    env.extend(row.env.clone());
    NewImage {
        tag: row.tag.clone(),
        architecture: row.architecture.clone(),
        entrypoint: row.entrypoint.clone(),
        cmd: row.cmd.clone(),
        env,
        workdir: "/app".to_owned(),
        user: row.user.clone(),
        labels: kept::labels(label),
        layers,
        ..NewImage::default()
    }
}

/// Does something for each item, a few at a time. The results are in the order of the items.
pub(crate) fn side_by_side<T: Sync, R: Send>(items: &[T], at_a_time: usize, each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let left = Mutex::new(items.iter().enumerate());
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                loop {
                    let Some((n, item)) = left.lock().expect("whole").next() else { return };
                    let result = each(item);
                    done.lock().expect("whole").insert(n, result);
                }
            });
        }
    });
    done.into_inner().expect("whole").into_values().collect()
}

/// Prints how long answers took, by class: until the sentence that ranks first was said, and as a whole. Each is the answer
/// of `why` and the wall time of its command in seconds.
pub(crate) fn report_times<'a>(answers: impl Iterator<Item = (&'a Value, f64)>) {
    let mut by_class: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    let mut retracted = 0;
    for (answer, seconds) in answers {
        let sets = || answer["minimal_sets"].as_array().into_iter().flatten().map(|set| &set["conditions"]);
        let told = || answer["told"].as_array().into_iter().flatten();
        let first =
            told().find(|told| sets().next() == Some(&told["conditions"])).and_then(|told| told["seconds"].as_f64());
        retracted += told().filter(|told| sets().all(|set| *set != told["conditions"])).count();
        // What was not said ahead was said at the end.
        let times = (first.unwrap_or(seconds), seconds);
        for class in ["all", answer["class"].as_str().unwrap_or("none")] {
            by_class.entry(class).or_default().push(times);
        }
    }
    for (class, times) in by_class {
        let share = |share: f64, of: fn(&(f64, f64)) -> f64| {
            let mut sorted: Vec<f64> = times.iter().map(of).collect();
            sorted.sort_by(f64::total_cmp);
            sorted[((sorted.len() - 1) as f64 * share).round() as usize]
        };
        eprintln!(
            "class {class}: {} answers; first sentence: median {:.1} s, p90 {:.1} s; whole answer: median {:.1} s, p90 {:.1} s, \
             longest {:.1} s",
            times.len(),
            share(0.5, |t| t.0),
            share(0.9, |t| t.0),
            share(0.5, |t| t.1),
            share(0.9, |t| t.1),
            share(1.0, |t| t.1),
        );
    }
    eprintln!("{retracted} sentences said ahead are not in the answers");
}
