//! Consumers of events and results: the terminal, JSON.

pub mod bisect;
pub mod evidence;
pub mod gate;
pub mod json;
pub mod progress;
pub mod repro;
pub mod story;
pub mod terminal;
pub mod why;
