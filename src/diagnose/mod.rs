//! Turns observations into causes: pure, no clock, no I/O.

pub(crate) mod causes;
mod conditions;
pub(crate) mod configured;
pub(crate) mod deployment;
pub(crate) mod exercise;
pub(crate) mod explain;
pub(crate) mod facts;
pub(crate) mod log;
pub(crate) mod named;
pub(crate) mod needed;
pub(crate) mod platform;
pub(crate) mod pointed;
pub(crate) mod prune;
pub(crate) mod repairs;
pub(crate) mod run;
pub mod samples;
mod sight;
pub(crate) mod signature;
pub(crate) mod stand_ins;
pub(crate) mod standing;
pub(crate) mod statics;
pub(crate) mod suspects;
pub(crate) mod traceback;
pub(crate) mod transcript;
pub(crate) mod waiting;
