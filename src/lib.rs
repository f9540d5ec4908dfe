//! exitone finds the condition, or the smallest combination of conditions, under which a container image that
//! runs fine on a laptop exits with code 1 on AWS App Runner.
//!
//! The rooms and who may import whom are written down in `docs/design.md`; `tests/program/layering.rs` keeps them.

pub mod catalogue;
pub mod cli;
pub mod diagnose;
pub mod engine;
pub mod event;
pub mod holder;
pub mod images;
pub mod model;
pub mod profile;
pub mod report;
pub mod run;
pub mod scenario;
pub mod search;
mod serve;
