//! Searches over condition sets and versions as pure state machines: they say what to run next and take in the answers.
//! No I/O, no clock, nothing about containers.

pub(crate) mod descent;
pub(crate) mod families;
pub mod minimal;
pub mod noise;
pub mod set;
pub(crate) mod table;
pub(crate) mod threshold;
pub mod versions;
