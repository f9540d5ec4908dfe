//! From what was seen to what it means: pure, no clock, no input or output.

pub mod causes;
pub mod exercise;
pub mod platform;
pub mod statics;
pub mod transcript;
pub mod waiting;
