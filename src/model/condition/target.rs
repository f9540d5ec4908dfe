//! Hosts and networks that a condition is about.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A host: a name, or an IPv4 address (outbound traffic is IPv4 only there).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Host(String);

impl Host {
    /// The name or address, in small letters, without the last dot.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The address, where it is one.
    #[must_use]
    pub(crate) fn address(&self) -> Option<Ipv4Addr> {
        self.0.parse().ok()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Host {
    type Err = String;

    /// Names as RFC 1123 (2.1) has them; `_` too, which service names begin with.
    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        let label = |l: &str| {
            (1..=63).contains(&l.len())
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !l.starts_with('-')
                && !l.ends_with('-')
        };
        let numeric = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let good = name.len() <= 253 && name.split('.').all(label) && (!numeric || name.parse::<Ipv4Addr>().is_ok());
        if !good {
            let hint = if text.contains("://") || text.contains('/') || text.contains(':') {
                "; write the host alone, without scheme, port or path"
            } else {
                ""
            };
            return Err(format!("`{}` is not the name of a host{hint}", shown(text)));
        }
        let local = |a: Ipv4Addr| a.is_loopback() || a.is_link_local() || a.is_multicast() || a.is_broadcast();
        if name.parse().is_ok_and(local) {
            return Err(format!("`{name}` is not behind any gateway"));
        }
        Ok(Self(name))
    }
}

/// What is no name may be a part of a secret that was pasted here.
fn shown(text: &str) -> String {
    // A URL may carry a password before the `@`.
    let text = text.rsplit('@').next().unwrap_or(text);
    text.chars().take(60).collect()
}

/// The mask of a network whose prefix has this many bits.
fn mask(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
}

/// True when an address is in a network: its first address, and how many bits name it.
#[must_use]
pub(crate) fn is_in(address: Ipv4Addr, (network, bits): (Ipv4Addr, u8)) -> bool {
    u32::from(address) & mask(bits) == u32::from(network)
}

/// A host or a network of addresses.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Target {
    /// One host.
    Host(Host),
    /// An IPv4 network: its first address, and how many bits name it.
    Network(Ipv4Addr, u8),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => write!(f, "{host}"),
            Self::Network(address, bits) => write!(f, "{address}/{bits}"),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((address, bits)) = text.split_once('/') else { return text.parse().map(Self::Host) };
        let wrong = || format!("`{}` is not an IPv4 network such as 10.0.0.0/8", shown(text));
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let bits: u8 = bits.parse().ok().filter(|b| *b <= 32).ok_or_else(wrong)?;
        let first = Ipv4Addr::from(u32::from(address) & mask(bits));
        if first != address {
            return Err(format!("`{text}` has bits beyond its mask; did you mean `{first}/{bits}`?"));
        }
        Ok(Self::Network(address, bits))
    }
}

/// Which part of the internet a condition is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reach {
    /// All of it.
    Everything,
    /// One host or network.
    Only(Target),
    /// All but these: what a VPC without a NAT gateway still reaches.
    AllBut(Vec<Target>),
}

/// Before the exceptions of [`Reach::AllBut`].
const EXCEPT: &str = "except=";

impl FromStr for Reach {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(list) = text.strip_prefix(EXCEPT) else {
            return text.parse().map(Self::Only);
        };
        let mut targets = list.split(',').map(|t| t.trim().parse()).collect::<Result<Vec<Target>, String>>()?;
        targets.sort();
        targets.dedup();
        Ok(Self::AllBut(targets))
    }
}

/// As an argument, `:` included.
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => Ok(()),
            Self::Only(target) => write!(f, ":{target}"),
            Self::AllBut(targets) => {
                let list: Vec<String> = targets.iter().map(ToString::to_string).collect();
                write!(f, ":{EXCEPT}{}", list.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let host = |text: &str| text.parse::<Host>().map(|h| h.to_string());
        assert_eq!(host("Verify.Twilio.com."), Ok("verify.twilio.com".to_owned()));
        assert_eq!(host("_db.internal"), Ok("_db.internal".to_owned()));
        assert_eq!(host("10.0.0.1"), Ok("10.0.0.1".to_owned()));
        let long = "a".repeat(64);
        for bad in ["", ".", "a..b", "-a", "a-", "a b", "10.0.0", "300.1.1.1", long.as_str(), "::1", "ä.de"] {
            assert!(host(bad).is_err(), "{bad}");
        }
        assert_eq!(
            host("https://u:secret@db.internal:5432/x"),
            Err("`db.internal:5432/x` is not the name of a host; write the host alone, without scheme, port or path"
                .to_owned())
        );
    }

    #[test]
    fn networks() {
        let target = |text: &str| text.parse::<Target>().map(|t| t.to_string());
        assert_eq!(target("10.0.0.0/8"), Ok("10.0.0.0/8".to_owned()));
        assert_eq!(target("0.0.0.0/0"), Ok("0.0.0.0/0".to_owned()));
        assert!(target("10.0.0.0/33").is_err() && target("10.0.0/8").is_err() && target("fd00::/8").is_err());
        assert_eq!(
            target("10.1.0.0/8"),
            Err("`10.1.0.0/8` has bits beyond its mask; did you mean `10.0.0.0/8`?".to_owned())
        );
    }

    #[test]
    fn allow_lists() {
        let reach: Reach = "except=db.internal,10.0.0.0/8".parse().expect("good");
        assert_eq!(reach.to_string(), ":except=db.internal,10.0.0.0/8");
        assert!("except=".parse::<Reach>().is_err());
    }
}
