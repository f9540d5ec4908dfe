//! Records what a candidate sends and receives, from a packet socket in its namespace.
//!
//! A tap sees every packet and changes none; the candidate is not affected.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::net::Network;
use super::protocol::{GATEWAY, OWN, SECOND};
use crate::model::condition::is_in;
use crate::model::observation::{ConnectAttempt, Fate, MOST_KEPT};

/// Only headers are read.
const SNAPSHOT: usize = 128;
/// ETH_P_ALL in network byte order, as packet(7) requires it: includes outgoing packets.
const ALL_PROTOCOLS: u16 = 0x0003_u16.to_be();

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

const FLAG_SYN: u8 = 0x02;
const FLAG_RST: u8 = 0x04;
const FLAG_ACK: u8 = 0x10;

/// A tap in the calling thread's namespace.
///
/// tokio has no packet socket type; it is wrapped as a datagram socket, of which only `recv` is used.
pub(crate) struct Tap(UdpSocket);

impl Tap {
    /// Opens the tap; the kernel buffers packets from now on.
    ///
    /// # Errors
    /// When the capability NET_RAW is missing.
    pub(crate) fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(i32::from(ALL_PROTOCOLS))))?;
        socket.set_nonblocking(true)?;
        Ok(Self(UdpSocket::from_std(OwnedFd::from(socket).into())?))
    }

    /// Passes on the first bytes of every packet until the tap fails.
    pub(crate) async fn read(self, on_packet: impl FnMut(&[u8])) {
        self.read_up_to::<SNAPSHOT>(on_packet).await;
    }

    /// Passes on every whole packet until the tap fails.
    pub(crate) async fn read_whole(self, on_packet: impl FnMut(&[u8])) {
        self.read_up_to::<{ 64 << 10 }>(on_packet).await;
    }

    async fn read_up_to<const MOST: usize>(self, mut on_packet: impl FnMut(&[u8])) {
        let mut buffer = vec![0; MOST];
        // An error means that the link is being removed: nothing more will come.
        while let Ok(length) = self.0.recv(&mut buffer).await {
            on_packet(&buffer[..length]);
        }
    }
}

/// Identifies an attempt: protocol, remote address, remote port, local port.
type Key = (u8, Ipv4Addr, u16, u16);

/// The outbound attempts of a run.
#[derive(Default)]
pub(crate) struct Attempts {
    by_key: HashMap<Key, usize>,
    list: Vec<ConnectAttempt>,
}

/// The relevant parts of an IPv4 packet.
struct Packet<'a> {
    protocol: u8,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    payload: &'a [u8],
}

fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    let first = *bytes.first()?;
    let header = usize::from(first & 0x0f) * 4;
    let fragment = u16::from_be_bytes([*bytes.get(6)?, *bytes.get(7)?]) & 0x1fff;
    if first >> 4 != 4 || header < 20 || fragment != 0 {
        return None;
    }
    let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?));
    Some(Packet {
        protocol: *bytes.get(9)?,
        source: address(12)?,
        destination: address(16)?,
        payload: bytes.get(header..)?,
    })
}

fn ports(payload: &[u8]) -> Option<(u16, u16)> {
    let word = |at: usize| Some(u16::from_be_bytes([*payload.get(at)?, *payload.get(at + 1)?]));
    Some((word(0)?, word(2)?))
}

/// The answer of a router that cannot reach the host of an outgoing packet: an ICMP message for a raw socket, and its
/// destination (RFC 792). `None` for packets that get no answer, and for networks with their own route.
#[must_use]
pub(crate) fn unreachable(bytes: &[u8], spared: &[Network]) -> Option<(Ipv4Addr, Vec<u8>)> {
    let packet = parse(bytes)?;
    if spared.iter().any(|network| is_in(packet.destination, *network)) {
        return None;
    }
    let outgoing = is_candidate(packet.source) && !is_candidate(packet.destination);
    // The gateway and the metadata endpoint are next to the container, not behind a router.
    let host =
        packet.destination != GATEWAY && !packet.destination.is_loopback() && !packet.destination.is_link_local();
    if !outgoing || !host || packet.destination.is_multicast() || packet.destination.is_broadcast() {
        return None;
    }
    let due = match packet.protocol {
        TCP => packet.payload.get(13)? & FLAG_RST == 0,
        UDP => true,
        _ => false,
    };
    if !due {
        return None;
    }
    // Type 3 (destination unreachable), code 1 (host), checksum, unused; then the header and eight more bytes.
    let mut message = vec![3, 1, 0, 0, 0, 0, 0, 0];
    let header = bytes.len() - packet.payload.len();
    message.extend(&bytes[..header + packet.payload.len().min(8)]);
    let checksum = checksum(&message);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    Some((packet.source, message))
}

/// Fills in the TCP or UDP checksum of a packet: between namespaces the kernel leaves it to hardware that does not
/// exist. Returns the packet's destination.
pub(crate) fn finish(bytes: &mut [u8]) -> Option<Ipv4Addr> {
    let packet = parse(bytes)?;
    let (protocol, destination, length) = (packet.protocol, packet.destination, packet.payload.len());
    let at = match protocol {
        TCP => 16,
        UDP => 6,
        _ => return Some(destination),
    };
    let header = bytes.len() - length;
    bytes.get_mut(header + at..header + at + 2)?.fill(0);
    // The pseudo-header: both addresses, the protocol, the length (RFC 9293, 3.1).
    let mut sum = bytes[12..20].to_vec();
    sum.extend([0, protocol]);
    sum.extend(u16::try_from(length).ok()?.to_be_bytes());
    sum.extend(&bytes[header..]);
    let checksum = match checksum(&sum) {
        // Zero would mean "no checksum" (RFC 768).
        0 if protocol == UDP => 0xffff,
        other => other,
    };
    bytes[header + at..header + at + 2].copy_from_slice(&checksum.to_be_bytes());
    Some(destination)
}

/// The internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

fn is_candidate(address: Ipv4Addr) -> bool {
    address == OWN || address == SECOND
}

impl Attempts {
    /// Records a packet. Returns the port and address of a new TCP attempt.
    pub(crate) fn see(&mut self, bytes: &[u8], at_ms: f64) -> Option<(Ipv4Addr, u16)> {
        let packet = parse(bytes)?;
        match (is_candidate(packet.source), is_candidate(packet.destination)) {
            (true, false) if packet.destination != GATEWAY && !packet.destination.is_loopback() => {
                self.outgoing(&packet, at_ms)
            }
            (false, true) => {
                self.incoming(&packet);
                None
            }
            _ => None,
        }
    }

    fn outgoing(&mut self, packet: &Packet<'_>, at_ms: f64) -> Option<(Ipv4Addr, u16)> {
        let (from, to) = ports(packet.payload)?;
        let protocol = match packet.protocol {
            TCP if packet.payload.get(13)? & (FLAG_SYN | FLAG_ACK) == FLAG_SYN => "tcp",
            UDP => "udp",
            _ => return None,
        };
        let key = (packet.protocol, packet.destination, to, from);
        if let Some(index) = self.by_key.get(&key) {
            self.list[*index].sent += 1;
            return None;
        }
        if self.list.len() < MOST_KEPT {
            self.by_key.insert(key, self.list.len());
            self.list.push(ConnectAttempt {
                at_ms,
                protocol: protocol.to_owned(),
                address: packet.destination,
                port: to,
                name: None,
                fate: Fate::Silent,
                sent: 1,
            });
        }
        (packet.protocol == TCP).then_some((packet.destination, to))
    }

    fn incoming(&mut self, packet: &Packet<'_>) {
        match packet.protocol {
            TCP => {
                let (Some((from, to)), Some(flags)) = (ports(packet.payload), packet.payload.get(13)) else { return };
                let fate = match flags & (FLAG_SYN | FLAG_ACK | FLAG_RST) {
                    f if f & FLAG_RST != 0 => Fate::Refused,
                    f if f == FLAG_SYN | FLAG_ACK => Fate::Answered,
                    _ => return,
                };
                self.settle((TCP, packet.source, from, to), fate);
            }
            UDP => {
                let Some((from, to)) = ports(packet.payload) else { return };
                self.settle((UDP, packet.source, from, to), Fate::Answered);
            }
            ICMP => self.icmp(packet.payload),
            _ => {}
        }
    }

    /// Destination unreachable (RFC 792) contains the header of the packet it is about.
    fn icmp(&mut self, payload: &[u8]) {
        let (Some(3), Some(code)) = (payload.first(), payload.get(1)) else { return };
        let Some(about) = payload.get(8..).and_then(parse) else { return };
        let Some((from, to)) = ports(about.payload) else { return };
        let fate = if *code == 3 { Fate::Refused } else { Fate::Unreachable };
        self.settle((about.protocol, about.destination, to, from), fate);
    }

    /// The first answer counts: a reset after an answer ends the connection, it does not refuse it.
    fn settle(&mut self, key: Key, fate: Fate) {
        if let Some(index) = self.by_key.get(&key) {
            let attempt = &mut self.list[*index];
            if attempt.fate == Fate::Silent {
                attempt.fate = fate;
            }
        }
    }

    /// The attempts in chronological order.
    pub(crate) fn list(&self) -> &[ConnectAttempt] {
        &self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

    fn ip(protocol: u8, from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
        bytes.extend(from.octets());
        bytes.extend(to.octets());
        bytes.extend(payload);
        bytes
    }

    fn tcp(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), flags: u8) -> Vec<u8> {
        let mut payload = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
        payload.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
        ip(TCP, from.0, to.0, &payload)
    }

    #[test]
    fn records_attempts_and_their_fates() {
        let mut attempts = Attempts::default();
        let syn = tcp((OWN, 40000), (FAR, 443), FLAG_SYN);
        assert_eq!(attempts.see(&syn, 1.0), Some((FAR, 443)));
        assert_eq!(attempts.see(&syn, 2.0), None);
        attempts.see(&tcp((OWN, 40001), (FAR, 443), FLAG_SYN), 3.0);
        attempts.see(&tcp((FAR, 443), (OWN, 40001), FLAG_SYN | FLAG_ACK), 3.1);
        attempts.see(&tcp((FAR, 443), (OWN, 40001), FLAG_RST), 3.2);
        attempts.see(&tcp((OWN, 40002), (FAR, 443), FLAG_SYN), 4.0);
        attempts.see(&tcp((FAR, 443), (OWN, 40002), FLAG_RST | FLAG_ACK), 4.1);
        let udp = ip(UDP, OWN, FAR, &[0x9c, 0x40, 0, 53, 0, 8, 0, 0]);
        attempts.see(&udp, 5.0);
        let mut unreachable = vec![3, 1, 0, 0, 0, 0, 0, 0];
        unreachable.extend(&udp);
        attempts.see(&ip(ICMP, GATEWAY, OWN, &unreachable), 5.1);
        let seen: Vec<_> = attempts.list().iter().map(|a| (a.protocol.clone(), a.fate, a.sent)).collect();
        let expected = [
            ("tcp".to_owned(), Fate::Silent, 2),
            ("tcp".to_owned(), Fate::Answered, 1),
            ("tcp".to_owned(), Fate::Refused, 1),
            ("udp".to_owned(), Fate::Unreachable, 1),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn ignores_packets_that_are_not_attempts() {
        let mut attempts = Attempts::default();
        // The answer to a probe, loopback traffic, garbage, a fragment.
        attempts.see(&tcp((OWN, 8000), (GATEWAY, 50000), FLAG_SYN | FLAG_ACK), 0.0);
        attempts.see(&tcp((Ipv4Addr::LOCALHOST, 1), (Ipv4Addr::LOCALHOST, 2), FLAG_SYN), 0.0);
        attempts.see(&[0x45], 0.0);
        let mut fragment = tcp((OWN, 1), (FAR, 2), FLAG_SYN);
        fragment[7] = 9;
        attempts.see(&fragment, 0.0);
        assert!(attempts.list().is_empty());
    }

    #[test]
    fn router_reports_an_unreachable_host() {
        let syn = tcp((OWN, 40000), (FAR, 443), FLAG_SYN);
        let (to, message) = unreachable(&syn, &[]).expect("an answer is due");
        assert_eq!((to, message[0], message[1]), (OWN, 3, 1));
        assert_eq!(checksum(&message), 0, "a message with its checksum adds up to nothing");
        assert_eq!(message[8..36], syn[..28]);
        assert_eq!(unreachable(&tcp((OWN, 8000), (GATEWAY, 5), FLAG_SYN | FLAG_ACK), &[]), None);
        assert_eq!(unreachable(&tcp((FAR, 1), (OWN, 2), FLAG_SYN), &[]), None);
        assert_eq!(unreachable(&syn, &[(Ipv4Addr::new(198, 18, 0, 0), 15)]), None);
        assert_eq!(unreachable(&tcp((OWN, 1), (FAR, 2), FLAG_RST), &[]), None);
    }

    #[test]
    fn fills_in_checksums() {
        let mut syn = tcp((OWN, 40000), (FAR, 443), FLAG_SYN);
        assert_eq!(finish(&mut syn), Some(FAR));
        let mut whole = syn[12..20].to_vec();
        whole.extend([0, TCP, 0, 20]);
        whole.extend(&syn[20..]);
        assert_eq!(checksum(&whole), 0);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_packets_do_not_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..SNAPSHOT)) {
            Attempts::default().see(&bytes, 0.0);
            let _ = unreachable(&bytes, &[]);
            let _ = finish(&mut bytes.clone());
        }
    }
}
