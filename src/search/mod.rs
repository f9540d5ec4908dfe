//! Searches over condition sets and versions, as pure machines.

pub mod table;
