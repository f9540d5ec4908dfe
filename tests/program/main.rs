//! Tests without an engine: the whole program on the scripted engine with a paused clock, the command line, the
//! documents, the sources. `cargo test --test program layering` runs one module.

mod bisect;
mod catalogue;
mod ci_files;
mod cli;
mod complete;
mod docs;
mod engine_proof;
mod layering;
mod mutations;
mod release;
mod run;
mod schema;
mod search;
mod serve;
mod sessions;
mod support;
mod whole;
mod why;
