//! The container's part of a set of conditions: what the engine is told of it.

use std::collections::BTreeMap;

use super::EnvChange;

/// What differs about the container. The default is the baseline.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ContainerPlan {
    /// Variables that differ.
    pub(crate) env: BTreeMap<String, EnvChange>,
    /// The platform's `HOSTNAME` is injected and beats the image's own.
    pub(crate) platform_hostname: bool,
    /// The service has no instance role: nothing names the endpoint of credentials.
    pub(crate) no_role: bool,
    /// The start command is split at white space.
    pub(crate) split_command: bool,
    /// The start command takes the place of ENTRYPOINT as well.
    pub(crate) replace_entrypoint: bool,
    /// Thousandths of a CPU.
    pub(crate) cpu_milli: Option<u32>,
    /// Bytes of memory.
    pub(crate) memory: Option<u64>,
    /// Open files.
    pub(crate) nofile: Option<u64>,
    /// The root file system cannot be written to.
    pub(crate) read_only: bool,
    /// No space is left in the folders that the image or the program writes to.
    pub(crate) full_disk: bool,
    /// The user of the process, and its group.
    pub(crate) user: Option<u32>,
    /// A shell runs the image's command.
    pub(crate) shell: bool,
    /// Folders that are empty, in memory, and writable for everybody.
    pub(crate) empty_folders: Vec<String>,
}

impl ContainerPlan {
    /// True when it changes what the container gets as variables.
    #[must_use]
    pub(crate) fn changes_environment(&self) -> bool {
        !self.env.is_empty() || self.platform_hostname
    }

    /// True when it changes how the start command is read.
    #[must_use]
    pub(crate) fn changes_command(&self) -> bool {
        self.split_command || self.replace_entrypoint
    }
}
