//! Renders runs: for the terminal, a run's folder, JSON, an HTML page, and CI systems.

pub mod account;
pub mod annotations;
pub mod bisect;
pub mod evidence;
pub mod explain;
#[cfg(test)]
mod fixture;
pub mod folder;
pub mod gate;
pub mod html;
pub mod json;
pub mod junit;
pub mod live;
pub mod markdown;
mod markup;
pub mod plain;
pub mod progress;
pub mod repro;
pub mod schema;
pub mod searches;
pub mod story;
mod style;
pub mod table;
pub mod terminal;
pub mod view;
pub mod why;

#[cfg(test)]
mod tests;
