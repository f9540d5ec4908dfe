//! Lists the open ports in the calling thread's namespace.
//!
//! The kernel has no event for a port that opens (short of tracing the host), so its socket table is polled; that does
//! not touch the candidate and works for static binaries and images without a shell. The query uses sock_diag with the
//! state LISTEN, which costs a few microseconds; reading `/proc/net/tcp` also walks all connections (2 ms here) and is
//! the fallback for kernels without sock_diag.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::observation::OpenSocket;
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use rtnetlink::packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_SOCK_DIAG};

/// The state `LISTEN` in the kernel's table (include/net/tcp_states.h).
const LISTEN: &str = "0A";

/// The state of an open connection (include/net/tcp_states.h).
const TCP_ESTABLISHED: u8 = 1;

/// Queries the sockets of one namespace.
pub(crate) struct Listeners(Option<Socket>);

impl Listeners {
    /// Opens a socket to the kernel in the calling thread's namespace.
    pub(crate) fn open() -> Self {
        let open = || -> io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok(socket)
        };
        Self(open().ok())
    }

    /// The listening TCP sockets; the calling thread must still be in the namespace.
    pub(crate) fn now(&mut self) -> Vec<(IpAddr, u16)> {
        if let Some(socket) = &self.0 {
            match both(socket, StateFlags::LISTEN) {
                Ok(found) => return found.into_iter().map(|f| f.local).collect(),
                // This kernel has no sock_diag for TCP.
                Err(_) => self.0 = None,
            }
        }
        // `thread-self`: a holder's threads are in different namespaces.
        ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"]
            .iter()
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .flat_map(|text| parse(&text))
            .collect()
    }
}

/// A socket in the kernel's table.
#[derive(Clone, Debug)]
struct Found {
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
    state: u8,
}

impl Listeners {
    /// Connections that the candidate opened: those whose local port has no listener. The calling thread must still be
    /// in the namespace. Empty if the kernel does not report them.
    pub(crate) fn connections(&mut self) -> Vec<OpenSocket> {
        let listening: Vec<u16> = self.now().into_iter().map(|(_, port)| port).collect();
        let Some(socket) = &self.0 else { return Vec::new() };
        let open = both(socket, StateFlags::SYN_SENT | StateFlags::ESTABLISHED).unwrap_or_default();
        let outgoing = open.into_iter().filter(|f| !listening.contains(&f.local.1));
        let address = |address| match address {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(v6) => v6.to_ipv4_mapped(),
        };
        outgoing
            .filter_map(|f| {
                let address = address(f.remote.0).filter(|a| !a.is_loopback())?;
                Some(OpenSocket { address, port: f.remote.1, name: None, accepted: f.state == TCP_ESTABLISHED })
            })
            .collect()
    }
}

fn both(socket: &Socket, states: StateFlags) -> io::Result<Vec<Found>> {
    Ok([ask(socket, AF_INET, states.clone())?, ask(socket, AF_INET6, states)?].concat())
}

/// One family's sockets in these states. The kernel has answered when the send returns, so the read does not block.
fn ask(socket: &Socket, family: u8, states: StateFlags) -> io::Result<Vec<Found>> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let socket_id = if family == AF_INET { SocketId::new_v4() } else { SocketId::new_v6() };
    let request = InetRequest { family, protocol: IPPROTO_TCP, extensions: ExtensionFlags::empty(), states, socket_id };
    let mut packet = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let mut found = Vec::new();
    loop {
        let (answer, _) = socket.recv_from_full()?;
        let mut rest = answer.as_slice();
        while !rest.is_empty() {
            let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest).map_err(io::Error::other)?;
            match message.payload {
                NetlinkPayload::Done(_) => return Ok(found),
                NetlinkPayload::Error(e) => return Err(e.to_io()),
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                    let id = &response.header.socket_id;
                    found.push(Found {
                        local: (id.source_address, id.source_port),
                        remote: (id.destination_address, id.destination_port),
                        state: response.header.state,
                    });
                }
                _ => {}
            }
            // Messages are aligned to four bytes.
            let length = (message.header.length as usize).next_multiple_of(4).max(4);
            rest = rest.get(length..).unwrap_or_default();
        }
    }
}

/// Reads the kernel's table (Documentation/networking/proc_net_tcp.rst).
fn parse(table: &str) -> Vec<(IpAddr, u16)> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let local = fields.next()?;
            let state = fields.nth(1)?;
            (state == LISTEN).then(|| socket(local))?
        })
        .collect()
}

/// `0100007F:1F90`: the address in host byte order by 32-bit words, the port in plain hexadecimal.
fn socket(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words = (0..address.len() / 8)
        .map(|i| u32::from_str_radix(address.get(i * 8..i * 8 + 8)?, 16).ok().map(u32::to_ne_bytes))
        .collect::<Option<Vec<[u8; 4]>>>()?;
    match words.as_slice() {
        [v4] => Some((IpAddr::V4(Ipv4Addr::from(*v4)), port)),
        [_, _, _, _] => {
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Some((IpAddr::V6(Ipv6Addr::from(bytes)), port))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_the_kernel_socket_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
            \u{20}  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n\
            \u{20}  1: 143D000A:1F90 0100000A:D431 01 00000000:00000000 00:00000000 00000000     0\n\
            \u{20}  2: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0\n\
            \u{20}  3: nonsense 0 0A\n";
        assert_eq!(parse(table), vec![(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080), (IpAddr::V6(Ipv6Addr::LOCALHOST), 80)]);
    }
}
