//! From what was seen to what it means: pure, no clock, no input or output.

pub(crate) mod causes;
mod conditions;
pub(crate) mod exercise;
pub(crate) mod explain;
pub(crate) mod needed;
pub(crate) mod platform;
pub(crate) mod prune;
pub mod rules;
pub(crate) mod run;
pub(crate) mod signature;
pub(crate) mod statics;
pub(crate) mod suspects;
pub(crate) mod traceback;
pub(crate) mod transcript;
pub(crate) mod waiting;
