//! What the kernel lets a process bind: `ports.privileged`, `ipv6.off`.

use super::{Argument, Changes, Condition, Family, Kind};

/// What cannot be bound.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SocketFault {
    /// Ports below 1024, by all but root.
    PrivilegedPorts,
    /// Any IPv6 address: no interface has one, not even loopback.
    Ipv6Off,
}

static PRIVILEGED_PORTS: Kind =
    Kind::new("ports.privileged", Argument::None, "only root may open ports below 1024", |_| {
        Ok(Condition::Sockets(SocketFault::PrivilegedPorts))
    });
static IPV6_OFF: Kind = Kind::new("ipv6.off", Argument::None, "there is no IPv6, not even ::1", |_| {
    Ok(Condition::Sockets(SocketFault::Ipv6Off))
});
pub(super) const KINDS: &[&Kind] = &[&PRIVILEGED_PORTS, &IPV6_OFF];

impl Family for SocketFault {
    fn kind(&self) -> &'static Kind {
        match self {
            Self::PrivilegedPorts => &PRIVILEGED_PORTS,
            Self::Ipv6Off => &IPV6_OFF,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::PrivilegedPorts => "ports below 1024 are closed".to_owned(),
            Self::Ipv6Off => "there is no IPv6".to_owned(),
        }
    }

    fn impose(&self, changes: &mut Changes) {
        match self {
            // The kernel's own number (Documentation/networking/ip-sysctl.rst, ip_unprivileged_port_start).
            Self::PrivilegedPorts => changes.network.first_open_port = 1024,
            Self::Ipv6Off => changes.network.ipv6_off = true,
        }
    }
}
