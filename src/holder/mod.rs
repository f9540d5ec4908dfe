//! The code inside a holder, which owns the candidates' network namespaces.
//!
//! A holder has two long-lived namespaces besides the candidate's. The **internet** answers whatever a candidate sends
//! (names, HTTPS, raw TCP), and as the candidate's only router it is where faults are imposed: routes that drop, refuse
//! or report unreachable, for TCP and UDP alike. The **void** is a place where every address exists and nobody listens;
//! a route there refuses. A candidate's own namespace contains only loopback, one link and one default route, and
//! nothing that a candidate can do there (it has no NET_ADMIN) affects a rule.

pub(crate) mod accept;
pub(crate) mod authority;
pub mod protocol;
mod wire;

#[cfg(target_os = "linux")]
mod contention;
#[cfg(target_os = "linux")]
mod deny;
#[cfg(target_os = "linux")]
mod dns;
#[cfg(target_os = "linux")]
mod error;
#[cfg(target_os = "linux")]
mod internet;
#[cfg(target_os = "linux")]
pub(crate) mod keeper;
#[cfg(target_os = "linux")]
mod listen;
#[cfg(target_os = "linux")]
mod net;
mod opening;
#[cfg(target_os = "linux")]
mod packets;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(target_os = "linux")]
mod questions;
#[cfg(target_os = "linux")]
pub(crate) mod relay;
#[cfg(target_os = "linux")]
mod runs;
#[cfg(target_os = "linux")]
mod say;
#[cfg(target_os = "linux")]
mod serve;
#[cfg(target_os = "linux")]
mod service;
#[cfg(target_os = "linux")]
mod slow;
#[cfg(target_os = "linux")]
mod sysctl;
#[cfg(target_os = "linux")]
mod upstream;
#[cfg(target_os = "linux")]
mod usage;

#[cfg(target_os = "linux")]
pub(crate) use serve::serve;
