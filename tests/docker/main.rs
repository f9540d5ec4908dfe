//! Tests against the real engine. Without one they are skipped with a message; in CI (`CI=true`) they fail.

#![cfg(target_os = "linux")]
// A skipped test prints the reason.
#![allow(clippy::print_stderr)]

mod altered;
mod bad_images;
mod bisect;
mod broken;
mod clients;
mod conditions;
mod deployments;
// The driver of the page's tests can do more than these need.
#[allow(dead_code)]
#[path = "../page/driver.rs"]
mod driver;
mod field;
mod gate;
mod healthy;
mod incident;
mod isolation;
mod kept;
mod leftovers;
mod look_alikes;
mod network;
mod real;
mod registry;
mod repairs;
mod repro;
mod rows;
mod scenario;
mod sees;
mod serve;
mod services;
mod services_real;
mod shared;
mod sleepers;
mod ssh;
mod support;
mod tellings;
mod tls;
mod why;
