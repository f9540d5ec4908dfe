//! Kernel parameters of a network namespace (`/proc/sys/net`).

use std::path::Path;

use super::error::{NetError, NetResult};
use crate::model::Condition;
use crate::model::condition::{NetworkPlan, SocketFault};

/// Where the calling thread finds those of its own network namespace.
const ROOT: &str = "/proc/sys/net";

/// Connection requests that nobody will answer are given up after 3 s instead of 127 s: one retry, after a second, and
/// two seconds more.
const COMPRESSED_SYN_RETRIES: &str = "1";
/// Kernels from 6.5 on send some more, one a second, before the pauses double (tcp_syn_linear_timeouts).
const COMPRESSED_LINEAR_TIMEOUTS: &str = "0";
/// Those kernels' own number.
const KERNELS_LINEAR_TIMEOUTS: &str = "4";
/// The kernel's own number (Documentation/networking/ip-sysctl.rst, tcp_syn_retries).
const KERNELS_SYN_RETRIES: &str = "6";

/// Sets a parameter of the calling thread's network namespace.
pub(crate) fn set(name: &str, value: &str) -> NetResult<()> {
    set_in(Path::new(ROOT), name, value)
}

fn set_in(root: &Path, name: &str, value: &str) -> NetResult<()> {
    std::fs::write(root.join(name), value).map_err(|e| NetError::new(&format!("setting net.{name}"), e))
}

/// Lets every user of the calling thread's network namespace listen on every port.
pub(crate) fn open_every_port() -> NetResult<()> {
    set("ipv4/ip_unprivileged_port_start", "0")
}

/// Sets what the conditions of a run decide. No interface of the calling thread's network namespace may be up yet.
///
/// # Errors
/// Where a condition asked for what the kernel refuses, with that condition.
pub(crate) fn set_for(plan: &NetworkPlan) -> NetResult<()> {
    set_for_in(Path::new(ROOT), plan)
}

fn set_for_in(root: &Path, plan: &NetworkPlan) -> NetResult<()> {
    // A kernel without IPv6 is as that condition wants it.
    if plan.ipv6_off && root.join("ipv6").exists() {
        // An interface that comes up then gets no IPv6 address, and loopback neither.
        for which in ["all", "default", "lo"] {
            set_in(root, &format!("ipv6/conf/{which}/disable_ipv6"), "1")
                .map_err(|e| e.imposing(&Condition::Sockets(SocketFault::Ipv6Off)))?;
        }
    }
    let set = set_in(root, "ipv4/ip_unprivileged_port_start", &plan.first_open_port.to_string());
    // Every run sets this one: only where the condition asked for it is it the condition that cannot be imposed.
    if plan.first_open_port == 0 {
        set
    } else {
        set.map_err(|e| e.imposing(&Condition::Sockets(SocketFault::PrivilegedPorts)))
    }
}

/// Gives connections of the calling thread's network namespace the kernel's own patience.
pub(crate) fn real_time() -> NetResult<()> {
    patience(KERNELS_SYN_RETRIES, KERNELS_LINEAR_TIMEOUTS)
}

/// Lets connections of the calling thread's network namespace be given up early.
pub(crate) fn compressed_time() -> NetResult<()> {
    patience(COMPRESSED_SYN_RETRIES, COMPRESSED_LINEAR_TIMEOUTS)
}

/// How often a connection request is sent again before it is given up.
fn patience(retries: &str, linear: &str) -> NetResult<()> {
    set("ipv4/tcp_syn_retries", retries)?;
    // Older kernels have no such number.
    if Path::new(ROOT).join("ipv4/tcp_syn_linear_timeouts").exists() {
        set("ipv4/tcp_syn_linear_timeouts", linear)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::condition::Changes;

    fn plan(texts: &[&str]) -> NetworkPlan {
        Changes::of(&texts.iter().map(|t| t.parse().expect("valid")).collect::<Vec<_>>()).network
    }

    #[test]
    fn only_the_condition_that_asked_is_blamed_for_a_parameter_that_cannot_be_set() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(root.path().join("ipv6")).expect("made");
        for (texts, blamed, parameter) in [
            (&["ports.privileged"][..], Some("ports.privileged"), "net.ipv4/ip_unprivileged_port_start"),
            (&["ports.privileged", "ipv6.off"], Some("ipv6.off"), "net.ipv6/conf/all/disable_ipv6"),
            // Every run sets it: nothing says that a condition cannot be imposed.
            (&["egress.drop"], None, "net.ipv4/ip_unprivileged_port_start"),
            (&[], None, "net.ipv4/ip_unprivileged_port_start"),
        ] {
            let error = set_for_in(root.path(), &plan(texts)).expect_err("there is no such parameter");
            assert_eq!(error.condition().map(Condition::name), blamed, "{texts:?}");
            assert!(error.to_string().starts_with(&format!("setting {parameter}: ")), "{error}");
        }
    }

    #[test]
    fn conditions_decide_parameters() {
        let root = tempfile::tempdir().expect("a folder");
        for folder in ["ipv4", "ipv6/conf/all", "ipv6/conf/default", "ipv6/conf/lo"] {
            std::fs::create_dir_all(root.path().join(folder)).expect("made");
        }
        let read = |name: &str| std::fs::read_to_string(root.path().join(name)).unwrap_or_default();
        set_for_in(root.path(), &plan(&[])).expect("set");
        assert_eq!(read("ipv4/ip_unprivileged_port_start"), "0");
        assert_eq!(read("ipv6/conf/lo/disable_ipv6"), "");
        set_for_in(root.path(), &plan(&["ports.privileged", "ipv6.off"])).expect("set");
        assert_eq!(read("ipv4/ip_unprivileged_port_start"), "1024");
        assert_eq!(read("ipv6/conf/lo/disable_ipv6"), "1");
    }
}
