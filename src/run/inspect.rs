//! Reads the files of an image without running it: what its command would execute, and which names its files contain.

pub(crate) mod header;
pub(crate) mod scan;
mod wrapped;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;

use futures_util::future::try_join_all;

use self::header::{HEAD, Head, Loader, Shebang, head, loader_name};
use self::wrapped::wrapped;
use crate::engine::files::{MOST_LINKS, absolute, parent};
use crate::engine::{ContainerSpec, Engine, EngineError, EngineResult, FileKind, FileStat};
use crate::model::ImageFacts;
use crate::model::files::{ImageFiles, Program};

/// The PATH of an image without one (moby, oci/defaults.go, `DefaultPathEnv`).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where libraries look for certificate authorities on common systems (<https://go.dev/src/crypto/x509/root_linux.go>).
const CA_BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Folders that programs write to.
const FOLDERS: [&str; 8] = ["/tmp", "/var/tmp", "/var/log", "/var/cache", "/var/lib", "/run", "/home", "/root"];
/// Maximum number of programs to follow that execute each other. The kernel allows four scripts in a row.
const MOST_PROGRAMS: u32 = 8;
/// Maximum offset (bytes) of a loader's name in its file.
const LOADER_WITHIN: usize = 64 << 20;

/// Reads the files of an image. `words` is the effective command. If `deep` is set, every file is searched for the
/// names of variables in `wanted`. A container with `labels` is created for it, never started, and removed.
///
/// # Errors
/// The engine's.
pub(crate) async fn inspect(
    engine: &dyn Engine,
    labels: BTreeMap<String, String>,
    facts: &ImageFacts,
    words: &[String],
    wanted: &BTreeSet<String>,
    deep: bool,
) -> EngineResult<ImageFiles> {
    let spec = ContainerSpec {
        // Without it, an image that has no command is refused.
        entrypoint: Some(vec!["/never-started".to_owned()]),
        ..ContainerSpec::plain(&facts.id.0, labels)
    };
    let container = engine.create(&spec).await?;
    let reader = FileReader::new(engine, &container, facts);
    let files = reader.files(words, wanted, deep).await;
    // If the container was removed meanwhile, every file looks missing.
    let there = engine.state(&container).await;
    let removed = engine.remove(&container).await;
    let files = files?;
    there?;
    removed?;
    Ok(files)
}

/// Resolves to a program, or to why there is none.
type ProgramFuture<'a> = Pin<Box<dyn Future<Output = EngineResult<Program>> + Send + 'a>>;

/// Reads files of a container.
pub(crate) struct FileReader<'a> {
    engine: &'a dyn Engine,
    container: &'a str,
    /// The absolute path of its working directory.
    pub(crate) workdir: String,
    path: Vec<&'a str>,
}

impl<'a> FileReader<'a> {
    /// A reader of this container's files, which are as in its image or changed by its run.
    #[must_use]
    pub(crate) fn new(engine: &'a dyn Engine, container: &'a str, facts: &'a ImageFacts) -> Self {
        let path = facts.env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
        Self { engine, container, workdir: absolute("/", &facts.workdir), path: path.split(':').collect() }
    }

    async fn files(&self, words: &[String], wanted: &BTreeSet<String>, deep: bool) -> EngineResult<ImageFiles> {
        let program = self.program(words.to_vec(), 1);
        let (program, ca_bundle, folders) = tokio::try_join!(program, self.ca_bundle(), self.folders())?;
        let files = ImageFiles { program, ca_bundle, folders, ..ImageFiles::default() };
        if !deep {
            return Ok(files);
        }
        let begun = tokio::time::Instant::now();
        let found = scan::scan(self.engine.export(self.container), wanted).await?;
        tracing::debug!(bytes = found.bytes, took = ?begun.elapsed(), "read every file of an image");
        Ok(ImageFiles {
            native: found.native,
            native_count: found.native_count,
            native_checked: true,
            ca_bundle: files.ca_bundle.or(found.ca_bundle),
            mentions: found.mentions,
            scanned: found.searched,
            packed: found.packed,
            ..files
        })
    }

    async fn stat(&self, path: &str) -> EngineResult<Option<FileStat>> {
        match self.engine.stat(self.container, path).await {
            // Some engines refuse a path below a file.
            Err(EngineError::Refused { .. }) if path != "/" && self.is_in_a_file(path).await => Ok(None),
            answer => answer,
        }
    }

    async fn is_in_a_file(&self, path: &str) -> bool {
        let mut folder = parent(path);
        while folder != "/" {
            if let Ok(Some(stat)) = self.engine.stat(self.container, folder).await {
                return matches!(stat.kind, FileKind::Regular | FileKind::Other);
            }
            folder = parent(folder);
        }
        false
    }

    /// The first bytes of an archive of what a path refers to; none if nothing is there.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) async fn archive_start(&self, path: &str, most: usize) -> EngineResult<Vec<u8>> {
        Ok(self.engine.archive_start(self.container, path, most).await?.unwrap_or_default())
    }

    /// The file at a path, with its path once links are followed.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) async fn follow(&self, path: &str) -> EngineResult<Option<(String, FileStat)>> {
        let mut path = absolute("/", path);
        for _ in 0..=MOST_LINKS {
            let Some(stat) = self.stat(&path).await? else { return Ok(None) };
            match &stat.link {
                Some(target) => path = absolute(parent(&path), target),
                None => return Ok(Some((path, stat))),
            }
        }
        Ok(None)
    }

    /// The file that a word executes. A word without `/` is the first executable in PATH (runc uses Go's
    /// exec.LookPath).
    async fn locate(&self, word: &str) -> EngineResult<Result<String, Program>> {
        if !word.contains('/') {
            for folder in &self.path {
                let path = absolute(&absolute(&self.workdir, folder), word);
                if let Some((path, stat)) = self.follow(&path).await?
                    && stat.is_executable()
                {
                    return Ok(Ok(path));
                }
            }
            return Ok(Err(Program::Missing { word: word.to_owned() }));
        }
        Ok(match self.follow(&absolute(&self.workdir, word)).await? {
            None => Err(Program::Missing { word: word.to_owned() }),
            Some((path, stat)) if stat.is_executable() => Ok(path),
            Some((path, stat)) => Err(match stat.kind {
                FileKind::Directory => Program::Directory { path },
                FileKind::Regular => Program::NotExecutable { path },
                FileKind::Link | FileKind::Other => Program::Unknown { path },
            }),
        })
    }

    /// The program that a command executes; `depth` counts programs that execute each other.
    fn program(&self, words: Vec<String>, depth: u32) -> ProgramFuture<'_> {
        Box::pin(async move {
            let word = words.first().map(String::as_str).unwrap_or_default();
            if word.is_empty() || depth > MOST_PROGRAMS {
                let too_deep = Program::Unknown { path: word.to_owned() };
                return Ok(if word.is_empty() { Program::Missing { word: String::new() } } else { too_deep });
            }
            let path = match self.locate(word).await? {
                Ok(path) => path,
                Err(other) => return Ok(other),
            };
            let Some(bytes) = self.engine.read_start(self.container, &path, HEAD).await? else {
                return Ok(Program::Unknown { path });
            };
            match head(&bytes) {
                Head::Alien(format) => Ok(Program::Alien { path, format: format.to_owned() }),
                Head::Text { first_line, shebang } => self.script(path, first_line, shebang, depth).await,
                Head::Elf(elf) => {
                    let interpreter = self.loader(&path, bytes, elf.loader).await?;
                    let interpreter_found = match &interpreter {
                        Some(loader) => self.is_file(&absolute(&self.workdir, loader)).await?,
                        None => true,
                    };
                    let next = match wrapped(&words) {
                        Some(inner) => Some(Box::new(self.program(inner, depth + 1).await?)),
                        None => None,
                    };
                    Ok(Program::Elf { path, machine: elf.machine, interpreter, interpreter_found, next })
                }
            }
        })
    }

    async fn script(
        &self,
        path: String,
        first_line: String,
        shebang: Option<Shebang>,
        depth: u32,
    ) -> EngineResult<Program> {
        let Some(Shebang { interpreter, argument, crlf }) = shebang else {
            let (interpreter, argument, next) = (None, None, None);
            return Ok(Program::Script { path, first_line, interpreter, argument, crlf: false, next });
        };
        let next = if crlf {
            None
        } else {
            // The kernel resolves it relative to the working directory, never in PATH.
            let mut words = vec![absolute(&self.workdir, &interpreter)];
            words.extend(argument.clone());
            words.push(path.clone());
            Some(Box::new(self.program(words, depth + 1).await?))
        };
        Ok(Program::Script { path, first_line, interpreter: Some(interpreter), argument, crlf, next })
    }

    /// The loader's name. Tools that change it move it to the end of the file.
    async fn loader(&self, path: &str, bytes: Vec<u8>, loader: Loader) -> EngineResult<Option<String>> {
        let Loader::At { offset, size } = loader else { return Ok(None) };
        let needed = offset.saturating_add(size);
        if needed <= bytes.len() || needed > LOADER_WITHIN {
            return Ok(loader_name(&bytes, offset, size));
        }
        let more = self.engine.read_start(self.container, path, needed).await?;
        Ok(more.and_then(|bytes| loader_name(&bytes, offset, size)))
    }

    async fn is_file(&self, path: &str) -> EngineResult<bool> {
        Ok(self.follow(path).await?.is_some_and(|(_, stat)| stat.kind == FileKind::Regular))
    }

    async fn ca_bundle(&self) -> EngineResult<Option<String>> {
        for path in CA_BUNDLES {
            let file = self.follow(path).await?;
            if file.is_some_and(|(_, stat)| stat.kind == FileKind::Regular && stat.size > 0) {
                return Ok(Some(path.to_owned()));
            }
        }
        Ok(None)
    }

    async fn folders(&self) -> EngineResult<Vec<String>> {
        let mut folders: Vec<&str> = FOLDERS.to_vec();
        if self.workdir != "/" && !folders.contains(&self.workdir.as_str()) {
            folders.push(&self.workdir);
        }
        let existing = |folder: &str| {
            let folder = folder.to_owned();
            async move {
                let found = self.follow(&folder).await?;
                Ok::<_, EngineError>(found.is_some_and(|(_, stat)| stat.is_directory()).then_some(folder))
            }
        };
        let found: Vec<Option<String>> = try_join_all(folders.into_iter().map(existing)).await?;
        Ok(found.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::header::tests::program;
    use super::*;
    use crate::engine::ROLE_LABEL;
    use crate::engine::fake::{FakeEngine, Faults, healthy};
    use crate::engine::files::Tree;
    use crate::model::files::Machine;

    const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

    /// A system with a shell, Python, `env` and `tini`.
    fn system() -> Tree {
        let elf = || program(Machine::AMD64, Some(LOADER), 300);
        Tree::default()
            .file("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", 0o755, program(Machine::AMD64, None, 0))
            .link(LOADER, "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
            .link("/lib", "usr/lib")
            .link("/bin", "usr/bin")
            .file("/usr/bin/dash", 0o755, elf())
            .link("/usr/bin/sh", "dash")
            .file("/usr/bin/env", 0o755, elf())
            .file("/usr/bin/tini", 0o755, elf())
            .file("/usr/local/bin/python3.12", 0o755, elf())
            .link("/usr/local/bin/python3", "/usr/local/bin/python3.12")
            .folder("/tmp")
    }

    fn engine(tree: Tree) -> (FakeEngine, ImageFacts) {
        let engine = FakeEngine::new(true);
        engine.image("app:1", &[], Arc::new(|_| healthy(8000)));
        engine.set_files("app:1", tree);
        let id = crate::model::ImageId("sha256:app:1".to_owned());
        (engine, ImageFacts { id, workdir: "/srv".to_owned(), ..ImageFacts::default() })
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    async fn inspect_program(tree: Tree, command: &[&str]) -> Program {
        let (engine, facts) = engine(tree);
        inspect_program_with(&engine, &facts, command).await
    }

    async fn inspect_program_with(engine: &FakeEngine, facts: &ImageFacts, command: &[&str]) -> Program {
        let labels = BTreeMap::from([(ROLE_LABEL.to_owned(), "inspect".to_owned())]);
        let files = inspect(engine, labels, facts, &words(command), &BTreeSet::new(), false).await.expect("read");
        assert_eq!(engine.left(), Vec::<String>::new(), "the container is removed");
        files.program
    }

    fn elf(path: &str, next: Option<Program>) -> Program {
        Program::Elf {
            path: path.to_owned(),
            machine: Machine::AMD64,
            interpreter: Some(LOADER.to_owned()),
            interpreter_found: true,
            next: next.map(Box::new),
        }
    }

    #[tokio::test]
    async fn words_resolve_as_in_the_runtime() {
        let tree = || {
            system()
                .file("/srv/run", 0o755, program(Machine::AMD64, None, 0))
                .file("/srv/data", 0o644, "x")
                .file("/usr/local/sbin/python3", 0o644, "not executable, so not it")
                .folder("/srv/folder")
                .link("/srv/ring", "ring2")
                .link("/srv/ring2", "ring")
                .link("/srv/nowhere", "/not/there")
        };
        let missing = |word: &str| Program::Missing { word: word.to_owned() };
        for (word, expected) in [
            ("python3", elf("/usr/local/bin/python3.12", None)),
            ("/bin/sh", elf("/bin/dash", None)),
            ("sh", elf("/usr/bin/dash", None)),
            ("uvicorn", missing("uvicorn")),
            ("run", missing("run")),
            ("/srv/run/x", missing("/srv/run/x")),
            ("./ring", missing("./ring")),
            ("./nowhere", missing("./nowhere")),
            ("", missing("")),
            ("./data", Program::NotExecutable { path: "/srv/data".to_owned() }),
            ("./folder", Program::Directory { path: "/srv/folder".to_owned() }),
        ] {
            assert_eq!(inspect_program(tree(), &[word]).await, expected, "{word}");
        }
        let found = inspect_program(tree(), &["./run"]).await;
        assert!(matches!(found, Program::Elf { path, interpreter: None, .. } if path == "/srv/run"));
        assert_eq!(inspect_program(tree(), &[]).await, missing(""));
    }

    #[tokio::test]
    async fn path_of_the_image_is_used() {
        let (engine, mut facts) = engine(system().file("/venv/bin/python3", 0o755, program(Machine::ARM64, None, 0)));
        facts.env.insert("PATH".to_owned(), "/venv/bin:/usr/local/bin".to_owned());
        let Program::Elf { path, machine, .. } = inspect_program_with(&engine, &facts, &["python3"]).await else {
            panic!("a program")
        };
        assert_eq!((path.as_str(), machine), ("/venv/bin/python3", Machine::ARM64));
        assert_eq!(inspect_program_with(&engine, &facts, &["sh"]).await, Program::Missing { word: "sh".to_owned() });
    }

    #[tokio::test]
    async fn interpreters_are_followed() {
        let script = |line: &str| system().file("/srv/run.sh", 0o755, format!("{line}\nexec x\n"));
        let next = |program: Program| match program {
            Program::Script { next, crlf, interpreter, .. } => (next.map(|n| *n), crlf, interpreter),
            other => panic!("{other:?}"),
        };
        let missing = |word: &str| Program::Missing { word: word.to_owned() };
        let python = || elf("/usr/local/bin/python3.12", None);
        for (line, expected) in [
            ("#!/bin/sh", elf("/bin/dash", None)),
            ("#!/bin/bash", missing("/bin/bash")),
            ("#!python3", missing("/srv/python3")),
            ("#!/usr/bin/env python3", elf("/usr/bin/env", Some(python()))),
            ("#!/usr/bin/env -S python3 -u", elf("/usr/bin/env", Some(python()))),
            ("#!/usr/bin/env python3 -u", elf("/usr/bin/env", Some(missing("python3 -u")))),
            ("#!/usr/bin/env node", elf("/usr/bin/env", Some(missing("node")))),
        ] {
            let (found, crlf, _) = next(inspect_program(script(line), &["./run.sh"]).await);
            assert_eq!((found, crlf), (Some(expected), false), "{line}");
        }
        let (found, crlf, name) = next(inspect_program(script("#!/bin/sh\r"), &["./run.sh"]).await);
        assert_eq!((found, crlf, name.as_deref()), (None, true, Some("/bin/sh\r")));
        let (found, crlf, name) = next(inspect_program(script("echo"), &["./run.sh"]).await);
        assert_eq!((found, crlf, name), (None, false, None));
        let tini = inspect_program(script("#!/bin/sh"), &["tini", "--", "/srv/run.sh"]).await;
        let Program::Elf { next: Some(inner), .. } = tini else { panic!("{tini:?}") };
        assert_eq!(next(*inner).0, Some(elf("/bin/dash", None)));
    }

    #[tokio::test]
    async fn interpreter_loop_ends() {
        let tree = system().file("/a", 0o755, "#!/b\n").file("/b", 0o755, "#!/a\n");
        let mut program = inspect_program(tree, &["/a"]).await;
        let mut depth = 0;
        while let Program::Script { next: Some(inner), .. } = program {
            program = *inner;
            depth += 1;
        }
        assert_eq!((depth, program), (MOST_PROGRAMS, Program::Unknown { path: "/a".to_owned() }));
    }

    #[tokio::test]
    async fn missing_loader_is_found() {
        let loader = |at| program(Machine::AMD64, Some("/lib/ld-musl-x86_64.so.1"), at);
        for at in [200, HEAD - 3, 200_000] {
            let found = inspect_program(system().file("/srv/app", 0o755, loader(at)), &["./app"]).await;
            let Program::Elf { interpreter, interpreter_found, .. } = found else { panic!("{at}") };
            assert_eq!((interpreter.as_deref(), interpreter_found), (Some("/lib/ld-musl-x86_64.so.1"), false), "{at}");
        }
        let alien = inspect_program(system().file("/srv/app", 0o755, &b"\xcf\xfa\xed\xfe\0"[..]), &["./app"]).await;
        assert_eq!(alien, Program::Alien { path: "/srv/app".to_owned(), format: "a program for macOS".to_owned() });
    }

    #[tokio::test]
    async fn folders_ca_bundle_and_names_are_found() {
        let tree = system()
            .file("/srv/app.py", 0o644, "os.environ['database_url']")
            .file("/etc/ssl/certs/ca-certificates.crt", 0o644, "x")
            .file("/var/log/x", 0o644, "x");
        let (engine, facts) = engine(tree);
        let wanted = BTreeSet::from(["DATABASE_URL".to_owned(), "JWT_SECRET".to_owned()]);
        let run = |deep| inspect(&engine, BTreeMap::new(), &facts, &[], &wanted, deep);
        let files = run(true).await.expect("read");
        assert_eq!(files.folders, ["/tmp", "/var/log", "/srv"]);
        assert_eq!(files.ca_bundle.as_deref(), Some("/etc/ssl/certs/ca-certificates.crt"));
        assert!(files.never_mentions("JWT_SECRET") && !files.never_mentions("DATABASE_URL"));
        assert!(files.native_checked && files.native.is_empty());
        let files = run(false).await.expect("read");
        assert!(!files.scanned && !files.native_checked && files.mentions.is_empty());
    }

    #[tokio::test]
    async fn default_image_of_the_fake_engine_has_no_findings() {
        let (engine, facts) = engine(Tree::fine());
        let wanted = BTreeSet::from(["A_NAME".to_owned()]);
        let files = inspect(&engine, BTreeMap::new(), &facts, &words(&["app"]), &wanted, true).await.expect("read");
        assert!(matches!(files.program, Program::Elf { interpreter_found: true, .. }), "{:?}", files.program);
        assert!(!files.never_mentions("A_NAME") && files.ca_bundle.is_some() && files.native.is_empty());
    }

    #[tokio::test]
    async fn engine_error_is_not_a_missing_file() {
        let broken = EngineError::Broken { action: "x".to_owned(), message: "y".to_owned() };
        for operation in ["stat", "archive_start", "export", "state"] {
            let (engine, facts) = engine(system());
            engine.set_faults(Faults { errors: [(operation, broken.clone())].into(), ..Faults::default() });
            let found = inspect(&engine, BTreeMap::new(), &facts, &words(&["sh"]), &BTreeSet::new(), true).await;
            assert_eq!(found, Err(broken.clone()), "{operation}");
            assert_eq!(engine.left(), Vec::<String>::new(), "{operation}");
        }
    }
}
