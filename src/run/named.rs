//! Looks at the files that the log of a failed attempt names, in the candidate's own container.

use std::time::Duration;

use tokio::time::timeout;

use super::inspect::FileReader;
use crate::diagnose::named;
use crate::engine::files::{absolute, first_owner, names, parent};
use crate::engine::{Engine, EngineError, EngineResult};
use crate::model::ImageFacts;
use crate::model::observation::{NamedFile, Place};

/// Evidence that takes longer is not worth the wait.
const WITHIN: Duration = Duration::from_secs(3);
/// How much of a folder is read for its names, in bytes.
const MOST_OF_FOLDER: usize = 4 << 20;
/// How much of the list of users is read, in bytes.
const MOST_OF_USERS: usize = 64 << 10;
/// Only the header of an archive is needed.
const HEADER: usize = 4 << 10;

/// Who a candidate ran as, and the files that its log names.
#[derive(Default)]
pub(super) struct Named {
    pub(super) user: Option<u32>,
    pub(super) files: Vec<NamedFile>,
}

/// Looks into a container after a failure. `user`: what it was started as, as in USER. What cannot be read is left out: it
/// is evidence for a cause, and no verdict depends on it.
pub(super) async fn look(engine: &dyn Engine, container: &str, facts: &ImageFacts, user: &str, log: &str) -> Named {
    let reader = FileReader::new(engine, container, facts);
    let looked = async {
        let user = user_id(engine, container, user).await?;
        let mut files = Vec::new();
        for named in named::files(log) {
            files.push(file(&reader, named).await?);
        }
        Ok::<_, EngineError>(Named { user, files })
    };
    match timeout(WITHIN, looked).await {
        Ok(Ok(named)) => named,
        Ok(Err(error)) => {
            tracing::debug!(%error, "cannot read the files that a log names");
            Named::default()
        }
        Err(_) => Named::default(),
    }
}

/// The id of a user as USER names it: `app`, `1000`, `app:staff`; root if it is empty.
async fn user_id(engine: &dyn Engine, container: &str, user: &str) -> EngineResult<Option<u32>> {
    let name = user.split(':').next().unwrap_or_default();
    if name.is_empty() {
        return Ok(Some(0));
    }
    if let Ok(id) = name.parse() {
        return Ok(Some(id));
    }
    let users = engine.read_start(container, "/etc/passwd", MOST_OF_USERS).await?.unwrap_or_default();
    let users = String::from_utf8_lossy(&users);
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let found = users.lines().map(fields).find(|fields| fields.first().is_some_and(|first| first == name));
    Ok(found.and_then(|fields| fields.get(2)?.parse().ok()))
}

async fn file(reader: &FileReader<'_>, named: String) -> EngineResult<NamedFile> {
    let path = absolute(&reader.workdir, &named);
    let found = place(reader, &path).await?;
    let mut folder = parent(&path);
    let within = loop {
        match place(reader, folder).await? {
            Some(place) => break place,
            None if folder == "/" => break Place { path: "/".to_owned(), folder: true, mode: 0o755, owner: 0 },
            None => folder = parent(folder),
        }
    };
    let like = match &found {
        // The part of the path that is missing first.
        None => {
            let rest = path.strip_prefix(folder).unwrap_or_default().trim_start_matches('/');
            like(reader, &within.path, rest.split('/').next().unwrap_or_default()).await?
        }
        Some(_) => None,
    };
    Ok(NamedFile { named, found, within, like })
}

async fn place(reader: &FileReader<'_>, path: &str) -> EngineResult<Option<Place>> {
    let Some((path, stat)) = reader.follow(path).await? else { return Ok(None) };
    let owner = first_owner(&reader.archive_start(&path, HEADER).await?).unwrap_or(0);
    Ok(Some(Place { path, folder: stat.is_directory(), mode: stat.mode, owner }))
}

/// A name in a folder that differs from this one in upper and lower case only, extensions included or left out.
async fn like(reader: &FileReader<'_>, folder: &str, name: &str) -> EngineResult<Option<String>> {
    let archive = reader.archive_start(folder, MOST_OF_FOLDER).await?;
    let stem = |name: &str| name.split_once('.').map_or(name, |(stem, _)| stem).to_lowercase();
    let differs = |other: &String| {
        !other.starts_with(name)
            && (other.to_lowercase() == name.to_lowercase() || stem(other) == stem(name) && !name.contains('.'))
    };
    Ok(names(&archive).into_iter().find(differs))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::ContainerSpec;
    use crate::engine::fake::{FakeEngine, Faults, healthy};
    use crate::engine::files::Tree;

    fn engine() -> (FakeEngine, ImageFacts) {
        let engine = FakeEngine::new(true);
        engine.image("app:1", &[], Arc::new(|_| healthy(8000)));
        let tree = Tree::default()
            .file("/etc/passwd", 0o644, "root:x:0:0::/:/bin/sh\napp:x:1001:1001::/:/bin/sh\n")
            .folder("/app")
            .file("/app/routes/User.js", 0o644, "x")
            .file("/app/secret", 0o600, "x")
            .folder("/app/data")
            .owned("/app/data", 1001)
            .link("/data", "/app/data");
        engine.set_files("app:1", tree);
        let id = crate::model::ImageId("sha256:app:1".to_owned());
        (engine, ImageFacts { id, workdir: "/app".to_owned(), ..ImageFacts::default() })
    }

    async fn looked(user: &str, log: &str) -> Named {
        let (engine, facts) = engine();
        let container = engine.create(&ContainerSpec::plain("app:1", Default::default())).await.expect("created");
        look(&engine, &container, &facts, user, log).await
    }

    #[tokio::test]
    async fn users_have_ids() {
        for (user, expected) in [
            ("", Some(0)),
            ("root", Some(0)),
            ("app", Some(1001)),
            ("app:staff", Some(1001)),
            ("33:33", Some(33)),
            ("x", None),
        ] {
            assert_eq!(looked(user, "").await.user, expected, "{user}");
        }
    }

    #[tokio::test]
    async fn files_are_there_missing_or_in_another_case() {
        let named = looked("app", "cannot open '/data'").await;
        let place = |path: &str, owner| Place { path: path.to_owned(), folder: true, mode: 0o755, owner };
        assert_eq!(named.files[0].found, Some(place("/app/data", 1001)));
        let named = looked("app", "mkdir '/app/cache/x': permission denied").await;
        assert_eq!((&named.files[0].found, &named.files[0].within), (&None, &place("/app", 0)));
        for (log, like) in [
            ("Cannot find module './routes/user'", Some("User.js")),
            ("Cannot find module './routes/user.js'", Some("User.js")),
            ("Cannot find module './Routes/User'", Some("routes")),
            ("Cannot find module './routes/other'", None),
        ] {
            assert_eq!(looked("app", log).await.files[0].like.as_deref(), like, "{log}");
        }
    }

    #[tokio::test]
    async fn unreadable_files_are_left_out() {
        let (engine, facts) = engine();
        let container = engine.create(&ContainerSpec::plain("app:1", Default::default())).await.expect("created");
        let broken = EngineError::Broken { action: "x".to_owned(), message: "y".to_owned() };
        engine.set_faults(Faults { errors: [("stat", broken)].into(), ..Faults::default() });
        assert!(look(&engine, &container, &facts, "app", "cannot open '/data'").await.files.is_empty());
    }
}
