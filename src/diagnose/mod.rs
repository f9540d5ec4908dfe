//! Turns observations into causes: pure, no clock, no I/O.

pub mod causes;
mod conditions;
pub mod exercise;
pub mod explain;
pub mod needed;
pub mod platform;
pub mod prune;
pub mod rules;
pub mod run;
pub mod signature;
pub mod statics;
pub mod suspects;
pub mod traceback;
pub mod transcript;
pub mod waiting;
