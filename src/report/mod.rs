//! Renders runs: for the terminal, a run's folder, JSON, an HTML page, and CI systems.

pub(crate) mod account;
pub mod annotations;
pub mod bisect;
pub(crate) mod causes;
mod deployed;
pub(crate) mod evidence;
pub(crate) mod explain;
pub(crate) mod first;
#[cfg(test)]
mod fixture;
pub mod folder;
pub(crate) mod gate;
pub mod html;
pub mod json;
pub mod junit;
pub(crate) mod live;
pub mod markdown;
mod markup;
pub(crate) mod plain;
pub(crate) mod progress;
pub(crate) mod repro;
pub mod schema;
pub(crate) mod searches;
pub(crate) mod stand_in;
pub mod story;
pub(crate) mod style;
pub mod table;
pub mod terminal;
pub(crate) mod view;
pub mod why;

#[cfg(test)]
mod tests;
