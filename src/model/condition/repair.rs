//! Repairs: changes to the run that may heal an image. They are written like conditions and imposed in the sandbox only;
//! `exitone run --repair` imposes one.
//!
//! Repairs of a variable's value are in the family of variables.

use super::{Argument, ByHand, Changes, Condition, Family, Kind};

/// A repair.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Repair {
    /// The process runs as root.
    Root,
    /// The process runs as nobody.
    Nobody,
    /// A shell runs the image's command.
    Shell,
    /// A folder that everybody may write to, and that is empty.
    EmptyFolder(String),
    /// The health check asks this port.
    Port(u16),
    /// The health check asks this path over HTTP.
    Path(String),
    /// The health check only connects.
    Tcp,
    /// The health check waits as long as the platform lets it.
    Patience,
}

static ROOT: Kind =
    Kind::new("user.root", Argument::None, "the process runs as root", |_| Ok(Condition::Repair(Repair::Root)));
static NOBODY: Kind = Kind::new("user.nobody", Argument::None, "the process runs as a user without rights", |_| {
    Ok(Condition::Repair(Repair::Nobody))
});
static SHELL: Kind = Kind::new("command.shell", Argument::None, "a shell runs the image's command", |_| {
    Ok(Condition::Repair(Repair::Shell))
});
static EMPTY_FOLDER: Kind =
    Kind::new("folder.empty", Argument::Required("/PATH"), "a folder is empty and everybody may write to it", |w| {
        let path = w.argument.trim_end_matches('/');
        let is_folder = path.starts_with('/') && path.len() > 1 && !path.contains(['\0', ':', ',']);
        if is_folder { Ok(Condition::Repair(Repair::EmptyFolder(path.to_owned()))) } else { Err(NO_FOLDER.to_owned()) }
    });
static PORT: Kind = Kind::new("check.port", Argument::Required("PORT"), "the health check asks another port", |w| {
    match w.argument.parse::<u16>() {
        Ok(port) if port > 0 => Ok(Condition::Repair(Repair::Port(port))),
        _ => Err("needs a port from 1 to 65535".to_owned()),
    }
});
static PATH: Kind = Kind::new("check.path", Argument::Required("/PATH"), "the health check asks another path", |w| {
    let good = w.argument.starts_with('/') && !w.argument.contains(|c: char| c.is_whitespace() || c.is_control());
    if good {
        Ok(Condition::Repair(Repair::Path(w.argument.to_owned())))
    } else {
        Err("needs a path: `/health`".to_owned())
    }
});
static TCP: Kind =
    Kind::new("check.tcp", Argument::None, "the health check only connects", |_| Ok(Condition::Repair(Repair::Tcp)));
static PATIENCE: Kind = Kind::new("check.longer", Argument::None, "the health check waits as long as it may", |_| {
    Ok(Condition::Repair(Repair::Patience))
});
pub(super) const KINDS: &[&Kind] = &[&ROOT, &NOBODY, &SHELL, &EMPTY_FOLDER, &PORT, &PATH, &TCP, &PATIENCE];

/// The user and the group of nobody (Debian policy, 9.2.2).
const NOBODY_ID: u32 = 65534;
const NO_FOLDER: &str = "needs the path of a folder: `/var/cache`";

/// What becomes of the health check.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct CheckPlan {
    /// The port that is asked.
    pub(crate) port: Option<u16>,
    /// The path that is asked, over HTTP.
    pub(crate) path: Option<String>,
    /// Whether it only connects.
    pub(crate) tcp: bool,
    /// Whether it waits as long as it may.
    pub(crate) patient: bool,
}

impl Family for Repair {
    fn kind(&self) -> &'static Kind {
        match self {
            Self::Root => &ROOT,
            Self::Nobody => &NOBODY,
            Self::Shell => &SHELL,
            Self::EmptyFolder(_) => &EMPTY_FOLDER,
            Self::Port(_) => &PORT,
            Self::Path(_) => &PATH,
            Self::Tcp => &TCP,
            Self::Patience => &PATIENCE,
        }
    }

    fn argument(&self) -> String {
        match self {
            Self::EmptyFolder(path) | Self::Path(path) => format!(":{path}"),
            Self::Port(port) => format!(":{port}"),
            Self::Root | Self::Nobody | Self::Shell | Self::Tcp | Self::Patience => String::new(),
        }
    }

    fn slot(&self) -> Option<String> {
        match self {
            Self::Port(_) => Some("the port of the health check".to_owned()),
            Self::Path(_) | Self::Tcp => Some("what the health check asks".to_owned()),
            Self::Root | Self::Nobody => Some("the user of the process".to_owned()),
            Self::Shell | Self::EmptyFolder(_) | Self::Patience => None,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Root => "it runs as root".to_owned(),
            Self::Nobody => "it runs as a user without rights".to_owned(),
            Self::Shell => "a shell runs its command".to_owned(),
            Self::EmptyFolder(path) => format!("{path} is empty and writable"),
            Self::Port(port) => format!("the health check asks port {port}"),
            Self::Path(path) => format!("the health check asks {path}"),
            Self::Tcp => "the health check only connects".to_owned(),
            Self::Patience => "the health check waits longer".to_owned(),
        }
    }

    fn impose(&self, changes: &mut Changes) {
        match self {
            Self::Root => changes.container.user = Some(0),
            Self::Nobody => changes.container.user = Some(NOBODY_ID),
            Self::Shell => changes.container.shell = true,
            Self::EmptyFolder(path) => changes.container.empty_folders.push(path.clone()),
            Self::Port(port) => changes.check.port = Some(*port),
            Self::Path(path) => changes.check.path = Some(path.clone()),
            Self::Tcp => changes.check.tcp = true,
            Self::Patience => changes.check.patient = true,
        }
    }

    fn by_hand(&self) -> ByHand {
        let options = |options: String| ByHand::Options { options, remark: "" };
        match self {
            Self::Root => options("--user 0".to_owned()),
            Self::Nobody => options(format!("--user {NOBODY_ID}:{NOBODY_ID}")),
            Self::Shell => ByHand::Planned,
            Self::EmptyFolder(path) => options(format!(
                "--mount type=volume,volume-nocopy,volume-opt=type=tmpfs,volume-opt=device=tmpfs,volume-opt=o=mode=1777,dst={}",
                crate::model::words::quote(path)
            )),
            Self::Port(_) | Self::Path(_) | Self::Tcp | Self::Patience => {
                ByHand::Impossible("is about the health check alone: change the request at the end".to_owned())
            }
        }
    }
}
