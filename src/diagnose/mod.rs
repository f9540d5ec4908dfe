//! From what was seen to what it means: pure, no clock, no input or output.

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
