//! Consumers of events and results: the terminal, JSON.

pub mod json;
pub mod progress;
pub mod story;
pub mod terminal;
