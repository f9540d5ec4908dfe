//! Consumers of events: the terminal, a run's folder, reports in several forms.

pub mod bisect;
pub mod evidence;
pub mod folder;
pub mod gate;
pub mod json;
pub mod progress;
pub mod repro;
pub mod story;
pub mod terminal;
pub mod why;
