//! Searches over condition sets and versions, as pure machines: what to run next ← what a run said. No I/O, no clock,
//! no word of containers.

pub mod descent;
pub mod families;
pub mod minimal;
pub mod noise;
pub mod set;
pub mod table;
pub mod threshold;
pub mod versions;
