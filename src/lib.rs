//! The library behind `exitone`, the program that finds the condition, or the smallest combination of conditions, under
//! which a container image that runs fine on a laptop exits with code 1 on AWS App Runner.
//!
//! Most people want the program: `cargo install --locked exitone`, then `exitone demo`.
//!
//! # What it does
//!
//! It runs images on the local container engine, each in a network of its own with a resolver and a simulated internet, and
//! imposes what the platform does: egress that is dropped, names that do not resolve, variables that are missing, limits,
//! the health check. Searches decide what to run next, until every minimal set of conditions is known; the catalogue of
//! causes then says why, and what to do.
//!
//! | module | what is in it |
//! |---|---|
//! | [`model`] | conditions, cases, results, the service: plain types without I/O |
//! | [`scenario`], [`profile`] | scenario and service files, and the platforms as data |
//! | [`search`] | what to run next and what is known so far; pure |
//! | [`catalogue`], [`diagnose`] | from a log and what was observed to a cause; pure |
//! | [`engine`], [`holder`], [`run`] | the container engine behind a trait, what runs beside a candidate, and the cases |
//! | [`event`], [`report`] | what happened, and each form in which it is told |
//! | [`cli`] | arguments in, exit code out |
//!
//! # What it promises
//!
//! - **Other programs use the command line.** Its commands, flags, names of conditions, exit codes and documents (`--format
//!   json`, JUnit, the events of a run folder) keep their meaning within a minor version; each document has a `version`, and
//!   `exitone schema` prints its JSON Schema.
//! - **The Rust items are for the program and its tests.** They are public so that both can reach them, and may change in any
//!   version.
//! - An error of the engine, the kernel or a file is never a verdict about an image: the case is unresolved instead.
//! - Nothing that an image sends leaves the machine. Values of secrets appear in no output, file name or cache key.
//! - There is no `unsafe` code in this crate, and candidates run with no more rights than the platform gives them.

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
