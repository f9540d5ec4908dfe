//! Packs the exitone executable into an image from scratch.
//!
//! A static executable is the image's only file. A dynamic one is packed with its loader and libraries, which are found
//! in the memory map of this process.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use object::read::ReadCache;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object};
use sha2::{Digest, Sha256};

use super::RunError;
use super::off_thread::off_thread;
use crate::engine::archive::{Layer, NewImage, append_mode, write};
use crate::engine::context::hex;
use crate::engine::{Engine, EngineError, EngineInfo, IMAGE_LABEL};

/// The image's repository.
const REPOSITORY: &str = "exitone/holder";
/// The executable's path in the image.
pub(crate) const PROGRAM: &str = "/exitone";

/// The images of the planted candidates, for the platform's architecture and for another one.
const PLANTED: [&str; 2] = ["exitone/planted", "exitone/planted-elsewhere"];
/// The user and group of planted candidates: nobody (Debian policy, 9.2.2), as good images use.
const NOBODY: &str = "65534:65534";
/// The image's own resolv.conf, with a nameserver that does not exist (RFC 5737). The holder's must override it.
const RESOLV_CONF: &[u8] = b"nameserver 192.0.2.53\n";
/// An architecture that the platform does not run.
const ELSEWHERE: &str = "s390x";

/// Ensures that the holder's image is on the engine and returns its name. `program` is the exitone executable if this
/// process is another program.
///
/// # Errors
/// When the executable cannot be read or does not fit the engine's platform, or the engine refuses the image.
#[tracing::instrument(skip_all)]
pub(crate) async fn ensure_image(
    engine: &dyn Engine,
    info: &EngineInfo,
    program: Option<&Path>,
) -> Result<String, RunError> {
    let image = |tag: String| NewImage {
        entrypoint: vec![PROGRAM.to_owned(), "holder".to_owned()],
        architecture: info.architecture().to_owned(),
        ..labelled(tag, "holder")
    };
    Ok(ensure(engine, info, program, &[REPOSITORY], |mut tags| vec![image(tags.remove(0))]).await?.remove(0))
}

/// Ensures that the images of the planted candidates are on the engine and returns their names: one that the platform
/// runs, and one labelled for another architecture. Both contain the exitone executable.
///
/// # Errors
/// Those of [`ensure_image`].
pub(crate) async fn ensure_planted(
    engine: &dyn Engine,
    info: &EngineInfo,
    program: Option<&Path>,
) -> Result<[String; 2], RunError> {
    let image = |tag: String, architecture: &str| NewImage {
        entrypoint: vec![PROGRAM.to_owned(), "plant".to_owned()],
        architecture: architecture.to_owned(),
        user: NOBODY.to_owned(),
        workdir: "/tmp".to_owned(),
        ..labelled(tag, "planted")
    };
    let mut own = tar::Builder::new(Vec::new());
    append_mode(&mut own, "etc/resolv.conf", RESOLV_CONF.len() as u64, 0o644, RESOLV_CONF).map_err(packing)?;
    tmp(&mut own)?;
    append_mode(&mut own, "tmp/of-image", 0, 0o644, &[][..]).map_err(packing)?;
    let own = Layer::of_bytes(own.into_inner().map_err(packing)?);
    let images = |mut tags: Vec<String>| {
        let elsewhere = image(tags.remove(1), ELSEWHERE);
        let here = NewImage { layers: vec![own], ..image(tags.remove(0), info.architecture()) };
        vec![here, elsewhere]
    };
    let mut names = ensure(engine, info, program, &PLANTED, images).await?;
    Ok([names.remove(0), names.remove(0)])
}

fn packing(error: std::io::Error) -> RunError {
    RunError::host("packing the exitone executable", error)
}

fn labelled(tag: String, role: &str) -> NewImage {
    NewImage { tag, labels: [(IMAGE_LABEL.to_owned(), role.to_owned())].into(), ..NewImage::default() }
}

/// Loads images that contain the exitone executable unless all are there. Their tags identify the executable.
async fn ensure(
    engine: &dyn Engine,
    info: &EngineInfo,
    program: Option<&Path>,
    repositories: &[&str],
    images: impl FnOnce(Vec<String>) -> Vec<NewImage>,
) -> Result<Vec<String>, RunError> {
    let program = match program {
        Some(program) => program.to_owned(),
        None => linux_program(info)?,
    };
    let identity = &identity(&program)?[..16];
    let tags: Vec<String> = repositories.iter().map(|repository| format!("{repository}:{identity}")).collect();
    let mut there = true;
    for tag in &tags {
        match engine.inspect_image(tag).await {
            Ok(_) => {}
            Err(EngineError::ImageNotFound { .. }) => there = false,
            Err(e) => return Err(e.into()),
        }
    }
    if there {
        return Ok(tags);
    }
    // In files: in memory, they would take several times the size of the executable.
    let folder = tempfile::tempdir().map_err(packing)?;
    let packed = folder.path().join("layer.tar");
    let (layer, env) = off_thread(move || layer(&program, &packed)).await?;
    let images: Vec<NewImage> = images(tags.clone())
        .into_iter()
        .map(|mut image| {
            image.layers.insert(0, layer.clone());
            NewImage { env: env.clone(), ..image }
        })
        .collect();
    let archive = folder.path().join("images.tar");
    let file = File::create_new(&archive).map_err(packing)?;
    off_thread(move || write(&images, BufWriter::new(file))).await.map_err(packing)?;
    engine.load_image(&archive).await?;
    Ok(tags)
}

/// This executable if it is a Linux program for the engine's architecture, else the Linux build next to it.
fn linux_program(info: &EngineInfo) -> Result<PathBuf, RunError> {
    let own = std::env::current_exe().map_err(|e| RunError::host("finding the exitone executable", e))?;
    let architecture = info.architecture();
    let own_architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    if cfg!(target_os = "linux") && own_architecture == architecture {
        return Ok(own);
    }
    let beside = own.with_file_name(format!("exitone-linux-{architecture}"));
    if beside.is_file() {
        return Ok(beside);
    }
    let cause = format!("{} does not exist; releases include it, otherwise build it from source", beside.display());
    Err(RunError::host(format!("finding the {} build of exitone", info.platform), cause))
}

fn read(path: &Path) -> Result<Vec<u8>, RunError> {
    std::fs::read(path).map_err(|e| RunError::host(format!("reading {}", path.display()), e))
}

/// What identifies an executable, in hexadecimal: its build ID, which the linker makes of its content, or else a digest of
/// the file, which takes a while longer to read.
fn identity(program: &Path) -> Result<String, RunError> {
    let linked = File::open(program).ok().map(ReadCache::new).and_then(|file| {
        let parsed = ElfFile64::<Endianness, _>::parse(&file).ok()?;
        parsed.build_id().ok()?.filter(|id| id.len() >= 8).map(hex)
    });
    match linked {
        Some(id) => Ok(id),
        None => Ok(hex(&Sha256::digest(read(program)?))),
    }
}

/// The loader that the executable names (PT_INTERP); `None` for a static one.
fn loader(program: &Path) -> Option<PathBuf> {
    let file = ReadCache::new(File::open(program).ok()?);
    let parsed = ElfFile64::<Endianness, _>::parse(&file).ok()?;
    let endian = parsed.endian();
    let segments = parsed.elf_header().program_headers(endian, &file).ok()?;
    let named = segments.iter().find_map(|segment| segment.interpreter(endian, &file).ok().flatten())?;
    Some(PathBuf::from(String::from_utf8_lossy(named).into_owned()))
}

/// Absolute paths of the shared objects that this process has mapped, including its loader.
fn mapped_libraries() -> Result<Vec<PathBuf>, RunError> {
    let maps = read(Path::new("/proc/self/maps"))?;
    let own = std::env::current_exe().unwrap_or_default();
    let paths: BTreeSet<PathBuf> = String::from_utf8_lossy(&maps)
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .filter(|path| path.starts_with('/') && path.contains(".so"))
        .map(PathBuf::from)
        .filter(|path| *path != own)
        .collect();
    Ok(paths.into_iter().collect())
}

/// A layer in a new file, with the executable, its libraries and a world-writable `/tmp`, and the variables that the
/// executable needs.
fn layer(program: &Path, to: &Path) -> Result<(Layer, BTreeMap<String, String>), RunError> {
    let loader = loader(program);
    let libraries = if loader.is_some() { mapped_libraries()? } else { Vec::new() };
    let mut layer = tar::Builder::new(BufWriter::new(File::create_new(to).map_err(packing)?));
    add(&mut layer, PROGRAM, program)?;
    tmp(&mut layer)?;
    let mut folders = BTreeSet::new();
    for library in &libraries {
        add(&mut layer, &library.display().to_string(), library)?;
        folders.extend(library.parent().map(|p| p.display().to_string()));
    }
    // The executable expects its loader at a path such as /lib64/ld-linux-x86-64.so.2, which is a link on most systems;
    // the memory map shows its target.
    if let Some((link, target)) = loader.and_then(|loader| loader_link(&loader, &libraries)) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mtime(0);
        layer.append_link(&mut header, link, target).map_err(packing)?;
    }
    let mut env = BTreeMap::new();
    if !folders.is_empty() {
        env.insert("LD_LIBRARY_PATH".to_owned(), folders.into_iter().collect::<Vec<_>>().join(":"));
    }
    layer.into_inner().and_then(|mut file| file.flush()).map_err(packing)?;
    Ok((Layer::of_file(to).map_err(packing)?, env))
}

/// Adds an executable file under an absolute path.
fn add(layer: &mut tar::Builder<impl Write>, path: &str, file: &Path) -> Result<(), RunError> {
    let wrong = |e| RunError::host(format!("reading {}", file.display()), e);
    let file = File::open(file).map_err(wrong)?;
    let size = file.metadata().map_err(wrong)?.len();
    append_mode(layer, path.trim_start_matches('/'), size, 0o755, file).map_err(packing)
}

/// Adds a world-writable `/tmp`.
fn tmp(layer: &mut tar::Builder<impl Write>) -> Result<(), RunError> {
    let mut folder = tar::Header::new_gnu();
    folder.set_entry_type(tar::EntryType::Directory);
    folder.set_mode(0o1777);
    folder.set_size(0);
    folder.set_mtime(0);
    layer.append_data(&mut folder, "tmp/", std::io::empty()).map_err(packing)
}

/// A link from the loader's name in the executable to the mapped file, when they differ.
fn loader_link(wanted: &Path, libraries: &[PathBuf]) -> Option<(String, PathBuf)> {
    let real = wanted.canonicalize().ok()?;
    if libraries.iter().any(|library| library == wanted) || !libraries.contains(&real) {
        return None;
    }
    Some((wanted.strip_prefix("/").ok()?.display().to_string(), real))
}
