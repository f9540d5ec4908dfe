//! Our own executable as an image made from nothing.
//!
//! A static executable is the image's only file. For a dynamic one its loader and the libraries that it maps go
//! along, found in the memory map of this very process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::RunError;
use crate::engine::archive::{Layer, NewImage, append_mode, write};
use crate::engine::context::hex;
use crate::engine::{Archive, Engine, EngineError, EngineInfo, KEPT, ROLE_LABEL, SESSION_LABEL};

/// The image's repository.
const REPOSITORY: &str = "exitone/holder";
/// The executable in it.
const PROGRAM: &str = "/exitone";

/// Makes sure that the holder's image is on the engine and returns its name. `program` is our own executable where
/// this process is another one.
///
/// # Errors
/// When the executable cannot be read, is none for the engine's platform, or the engine refuses the image.
pub async fn ensure_image(engine: &dyn Engine, info: &EngineInfo, program: Option<&Path>) -> Result<String, RunError> {
    let program = match program {
        Some(program) => program.to_owned(),
        None => linux_program(info)?,
    };
    let bytes = read(&program)?;
    let tag = format!("{REPOSITORY}:{}", &hex(&Sha256::digest(&bytes))[..16]);
    match engine.inspect_image(&tag).await {
        Ok(_) => return Ok(tag),
        Err(EngineError::ImageNotFound { .. }) => {}
        Err(e) => return Err(e.into()),
    }
    let libraries = if is_dynamic(&bytes) { mapped_libraries()? } else { Vec::new() };
    let archive = image(&tag, info, &bytes, &libraries)?;
    engine.load_image(Archive::Bytes(archive.into())).await?;
    Ok(tag)
}

/// This executable where it is a Linux program of the engine's architecture; else the Linux build beside it.
fn linux_program(info: &EngineInfo) -> Result<PathBuf, RunError> {
    let own = std::env::current_exe().map_err(|e| RunError::host("finding our own executable", e))?;
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
    let cause =
        format!("{} is not there; a release carries it, a build from source makes it for Linux", beside.display());
    Err(RunError::host(format!("finding the {} build of exitone", info.platform), cause))
}

fn read(path: &Path) -> Result<Vec<u8>, RunError> {
    std::fs::read(path).map_err(|e| RunError::host(format!("reading {}", path.display()), e))
}

/// True when the executable names a loader (PT_INTERP).
fn is_dynamic(bytes: &[u8]) -> bool {
    use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
    let Ok(file) = ElfFile64::<object::Endianness>::parse(bytes) else { return false };
    let endian = file.endian();
    let segments = file.elf_header().program_headers(endian, bytes).unwrap_or_default();
    segments.iter().any(|segment| segment.p_type(endian) == object::elf::PT_INTERP)
}

/// The shared objects that this process has mapped, its loader among them, as absolute paths.
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

fn image(tag: &str, info: &EngineInfo, program: &[u8], libraries: &[PathBuf]) -> Result<Vec<u8>, RunError> {
    let wrong = |e: std::io::Error| RunError::host("packing our own executable", e);
    let mut layer = tar::Builder::new(Vec::new());
    append_mode(&mut layer, &PROGRAM[1..], program.len() as u64, 0o755, program).map_err(wrong)?;
    let mut folders = BTreeSet::new();
    for library in libraries {
        let bytes = read(library)?;
        let name = library.strip_prefix("/").unwrap_or(library).display().to_string();
        append_mode(&mut layer, &name, bytes.len() as u64, 0o755, bytes.as_slice()).map_err(wrong)?;
        folders.extend(library.parent().map(|p| p.display().to_string()));
    }
    // The loader stands where the executable looks for it: /lib64/ld-linux-x86-64.so.2 and its like are links on
    // most systems, the map shows what they lead to.
    if let Some((link, target)) = loader_link(program, libraries) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mtime(0);
        layer.append_link(&mut header, link, target).map_err(wrong)?;
    }
    let mut env = BTreeMap::new();
    if !folders.is_empty() {
        env.insert("LD_LIBRARY_PATH".to_owned(), folders.into_iter().collect::<Vec<_>>().join(":"));
    }
    let image = NewImage {
        tag: tag.to_owned(),
        architecture: info.architecture().to_owned(),
        entrypoint: vec![PROGRAM.to_owned(), "holder".to_owned()],
        env,
        labels: BTreeMap::from([
            (SESSION_LABEL.to_owned(), KEPT.to_owned()),
            (ROLE_LABEL.to_owned(), "holder".to_owned()),
        ]),
        layers: vec![Layer::of_bytes(layer.into_inner().map_err(wrong)?)],
        ..NewImage::default()
    };
    let mut archive = Vec::new();
    write(&[image], &mut archive).map_err(wrong)?;
    Ok(archive)
}

/// The loader's name in the executable as a link to the mapped file, when they differ.
fn loader_link(program: &[u8], libraries: &[PathBuf]) -> Option<(String, PathBuf)> {
    use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
    let file = ElfFile64::<object::Endianness>::parse(program).ok()?;
    let endian = file.endian();
    let segments = file.elf_header().program_headers(endian, program).ok()?;
    let interpreter = segments.iter().find_map(|s| s.interpreter(endian, program).ok().flatten())?;
    let wanted = PathBuf::from(String::from_utf8_lossy(interpreter).into_owned());
    let real = wanted.canonicalize().ok()?;
    if libraries.contains(&wanted) || !libraries.contains(&real) {
        return None;
    }
    Some((wanted.strip_prefix("/").ok()?.display().to_string(), real))
}
