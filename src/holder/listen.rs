//! Which ports are open in the calling thread's namespace.
//!
//! The kernel has no event for a port that opens (short of tracing the host), so its own table is read; reading
//! it touches nothing of the candidate and works for static binaries and images without a shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The state `LISTEN` in the kernel's table (include/net/tcp_states.h).
const LISTEN: &str = "0A";

/// The listening TCP sockets of the calling thread's namespace.
pub fn listening() -> Vec<(IpAddr, u16)> {
    // `thread-self`: the threads of a holder are in different namespaces.
    ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .flat_map(|text| parse(&text))
        .collect()
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

/// `0100007F:1F90`: the address in the machine's byte order by words of 32 bits, the port as it reads.
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
    fn the_kernels_table_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
            \u{20}  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n\
            \u{20}  1: 143D000A:1F90 0100000A:D431 01 00000000:00000000 00:00000000 00000000     0\n\
            \u{20}  2: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0\n\
            \u{20}  3: nonsense 0 0A\n";
        assert_eq!(parse(table), vec![(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080), (IpAddr::V6(Ipv6Addr::LOCALHOST), 80)]);
    }
}
