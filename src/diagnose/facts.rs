//! The input of the catalogue: what is known of one attempt.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::model::observation::Evidence;
use crate::model::outcome::Outcome;
use crate::model::service::Service;

/// The source of what is known about a process's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Witness {
    /// The engine that ran it.
    Engine,
    /// A service log of the platform, which has the exit code and nothing more.
    ServiceLog,
}

impl std::fmt::Display for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Engine => "engine",
            Self::ServiceLog => "service log",
        })
    }
}

/// What is known of one attempt.
pub(crate) struct Facts<'a> {
    /// The source of what is known about the end.
    pub(crate) witness: Witness,
    /// How the attempt ended.
    pub(crate) outcome: &'a Outcome,
    /// The exit code, where there was one.
    pub(crate) exit_code: Option<i64>,
    /// What was seen.
    pub(crate) evidence: &'a Evidence,
    /// The whole log.
    pub(crate) log: &'a str,
    /// The service's configuration.
    pub(crate) service: &'a Service,
    /// The address that is probed.
    pub(crate) own: Ipv4Addr,
    /// The container's memory limit in bytes.
    pub(crate) memory: Option<u64>,
    /// The process's variables, its image's among them, if they are known.
    pub(crate) env: Option<&'a BTreeMap<String, String>>,
}
