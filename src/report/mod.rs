//! Consumers of events and results: the terminal, JSON, one page of HTML.

pub mod bisect;
pub mod evidence;
pub mod html;
pub mod json;
pub mod progress;
pub mod repro;
pub mod story;
pub mod terminal;
pub mod why;
