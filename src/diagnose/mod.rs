//! From what was seen to what it means: pure, no clock, no input or output.

pub mod causes;
pub mod platform;
pub mod transcript;
