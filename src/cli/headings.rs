//! Headings of options in help.

/// Heading of the flags that say what runs.
pub(crate) const WHAT: &str = "What to run";
/// Heading of the flags that say under which conditions.
pub(crate) const CONDITIONS: &str = "Conditions";
/// Heading of the flags that say what is written, and where.
pub(crate) const OUTPUT: &str = "Output";
/// Heading of the flags for the container engine and this machine.
pub(crate) const ENGINE: &str = "Engine";
