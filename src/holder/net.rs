//! Namespaces, links, routes and rules of a holder.
//!
//! Why routes and not netfilter: a drop in netfilter's OUTPUT tells a UDP sender EPERM at once, which no cloud
//! does, and many kernels lack parts of it. A route in the *router* is silent for both protocols, and is there
//! on every kernel.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;

use nix::sched::{CloneFlags, unshare};
use rtnetlink::packet_route::IpProtocol;
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth, LinkMessage};
use rtnetlink::packet_route::route::{RouteMessage, RouteScope, RouteType};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RulePortRange};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};

use super::protocol::{GATEWAY, OWN, SECOND};

/// What went wrong with a namespace.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {cause}")]
pub struct NetError {
    /// What was tried.
    action: String,
    /// What the kernel said.
    cause: String,
}

impl NetError {
    /// An error with its cause.
    pub fn new(action: &str, cause: impl std::fmt::Display) -> Self {
        Self { action: action.to_owned(), cause: cause.to_string() }
    }
}

/// A result of this module.
pub type NetResult<T> = Result<T, NetError>;

trait During<T> {
    fn during(self, action: &str) -> NetResult<T>;
}

impl<T, E: std::fmt::Display> During<T> for Result<T, E> {
    fn during(self, action: &str) -> NetResult<T> {
        self.map_err(|e| NetError::new(action, e))
    }
}

/// The candidate's end of its link has this hardware address, the router's end the other: neighbours are written
/// down, so that no ARP is asked.
const CANDIDATE_MAC: [u8; 6] = [0x02, 0xe1, 0, 0, 0, 0x02];
const ROUTER_MAC: [u8; 6] = [0x02, 0xe1, 0, 0, 0, 0x01];

/// Index of loopback, of the candidate's link in its namespace, and of the void's link in both of its namespaces.
/// The low numbers are taken where the kernel makes tunnel devices in every new namespace (tunl0, sit0, gre0).
const LOOPBACK: u32 = 1;
const CANDIDATE_LINK: u32 = 500;
const VOID_LINK: u32 = 501;
/// The router's ends of candidates' links count from here.
const FIRST_ROUTER_LINK: u32 = 1000;

/// The kernel's tables.
const TABLE_LOCAL: u32 = 255;
const TABLE_MAIN: u32 = 254;
/// The table of the faults of the run.
const TABLE_FAULTS: u32 = 100;

/// Order of the rules in the internet and the void.
const RULE_TO_GATEWAY: u32 = 5;
const RULE_TO_CANDIDATE: u32 = 10;
const RULE_FAULTS: u32 = 20;
const RULE_PORTS: u32 = 60;
const RULE_SILENCE: u32 = 90;
const RULE_LOCAL: u32 = 100;

/// Connection requests are given up after 7 s instead of 127 s (two retries instead of six).
const COMPRESSED_SYN_RETRIES: &str = "2";
/// The kernel's own number (Documentation/networking/ip-sysctl.rst, tcp_syn_retries).
const KERNELS_SYN_RETRIES: &str = "6";

/// Moves the calling thread into a fresh network namespace.
pub fn fresh_namespace() -> NetResult<()> {
    unshare(CloneFlags::CLONE_NEWNET).during("making a network namespace")
}

/// A handle of the calling thread's network namespace; it keeps the namespace alive.
pub fn this_namespace() -> NetResult<File> {
    File::open("/proc/thread-self/ns/net").during("opening the network namespace")
}

/// A netlink connection into the calling thread's network namespace; needs a running tokio runtime on this thread.
pub fn netlink() -> NetResult<Handle> {
    let (connection, handle, _) = rtnetlink::new_connection().during("opening netlink")?;
    tokio::spawn(connection);
    Ok(handle)
}

/// Sets a kernel parameter of the calling thread's network namespace.
fn sysctl(name: &str, value: &str) -> NetResult<()> {
    std::fs::write(format!("/proc/sys/net/{name}"), value).during(&format!("setting net.{name}"))
}

async fn loopback_up(handle: &Handle) -> NetResult<()> {
    let lo = LinkUnspec::new_with_index(LOOPBACK).up().build();
    handle.link().set(lo).execute().await.during("bringing up loopback")
}

/// A pair of linked ends: one in the namespace of `handle`, the other in the namespace of `there`.
///
/// An end is a name, an index and a hardware address.
async fn link_pair(
    [handle, there_handle]: [&Handle; 2],
    [here, there]: [(&str, u32, [u8; 6]); 2],
    there_ns: &File,
    arp: bool,
) -> NetResult<()> {
    let peer: LinkMessage = LinkMessageBuilder::<LinkUnspec>::new()
        .name(there.0)
        .index(there.1)
        .address(there.2.to_vec())
        .arp(arp)
        .setns_by_fd(there_ns.as_raw_fd())
        .build();
    let pair = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
        .name(here.0)
        .index(here.1)
        .address(here.2.to_vec())
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .arp(arp)
        .up()
        .build();
    handle.link().add(pair).execute().await.during("linking two namespaces")?;
    // The other end cannot be brought up while the pair is being made (ENOTCONN).
    let up = LinkUnspec::new_with_index(there.1).up().build();
    there_handle.link().set(up).execute().await.during("bringing up the far end of a link")
}

async fn neighbour(handle: &Handle, link: u32, address: Ipv4Addr, mac: [u8; 6]) -> NetResult<()> {
    let add = handle.neighbours().add(link, IpAddr::V4(address)).link_layer_address(&mac).replace();
    add.execute().await.during("writing down a neighbour")
}

fn route(to: Ipv4Addr, length: u8) -> RouteMessageBuilder<Ipv4Addr> {
    RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(to, length)
}

async fn add_route(handle: &Handle, message: RouteMessage) -> NetResult<()> {
    handle.route().add(message).replace().execute().await.during("adding a route")
}

async fn rule_to(handle: &Handle, priority: u32, to: Ipv4Addr, table: u32) -> NetResult<()> {
    let rule = handle.rule().add().v4().priority(priority).table_id(table).action(RuleAction::ToTable);
    rule.destination_prefix(to, 32).execute().await.during("adding a rule")
}

async fn rule_all(handle: &Handle, priority: u32, table: u32) -> NetResult<()> {
    let rule = handle.rule().add().v4().priority(priority).table_id(table).action(RuleAction::ToTable);
    rule.execute().await.during("adding a rule")
}

/// Makes every address of IPv4 a local one, except the candidate's: its own rules stand before the kernel's
/// first rule, which is moved behind them.
async fn every_address_is_local(handle: &Handle) -> NetResult<()> {
    loopback_up(handle).await?;
    for (name, value) in [
        ("ipv4/ip_forward", "1"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        ("ipv4/conf/all/accept_local", "1"),
        ("ipv4/conf/all/send_redirects", "0"),
        ("ipv4/conf/default/send_redirects", "0"),
        // Port unreachable (UDP in the void): the second within a second is sent as the first was.
        ("ipv4/icmp_ratelimit", "0"),
    ] {
        sysctl(name, value)?;
    }
    let everything = route(Ipv4Addr::UNSPECIFIED, 0)
        .table_id(TABLE_LOCAL)
        .kind(RouteType::Local)
        .scope(RouteScope::Host)
        .output_interface(LOOPBACK)
        .build();
    add_route(handle, everything).await?;
    rule_to(handle, RULE_TO_GATEWAY, GATEWAY, TABLE_LOCAL).await?;
    for address in [OWN, SECOND] {
        rule_to(handle, RULE_TO_CANDIDATE, address, TABLE_MAIN).await?;
    }
    rule_all(handle, RULE_LOCAL, TABLE_LOCAL).await?;
    let mut kernels_own = handle.rule().add().v4().priority(0).table_id(TABLE_LOCAL).action(RuleAction::ToTable);
    let message = kernels_own.message_mut().clone();
    handle.rule().del(message).execute().await.during("moving the kernel's first rule")
}

/// Sets up the internet in the calling thread's namespace, which must be fresh, and the void beside it.
pub async fn internet(handle: &Handle, void: &Handle, void_ns: &File) -> NetResult<()> {
    every_address_is_local(handle).await?;
    rule_all(handle, RULE_FAULTS, TABLE_FAULTS).await?;
    // A TCP port without a listener is silent until there is one (see `open_port`); UDP is swallowed.
    port_rule(handle, RULE_SILENCE, IpProtocol::Tcp, None).await?;
    port_rule(handle, RULE_SILENCE, IpProtocol::Udp, None).await?;
    // The void has every address: its link asks for no neighbours, and both ends have one hardware address.
    let ends = [("void", VOID_LINK, ROUTER_MAC), ("internet", VOID_LINK, ROUTER_MAC)];
    link_pair([handle, void], ends, void_ns, false).await?;
    for address in [OWN, SECOND] {
        add_route(void, device_route(address, VOID_LINK).build()).await?;
    }
    Ok(())
}

/// Sets up the void in the calling thread's namespace, which must be fresh.
pub async fn void(handle: &Handle) -> NetResult<()> {
    every_address_is_local(handle).await
}

fn device_route(to: Ipv4Addr, link: u32) -> RouteMessageBuilder<Ipv4Addr> {
    route(to, 32).scope(RouteScope::Link).output_interface(link)
}

/// `port`: packets to it are delivered here. `None`: packets of this protocol vanish.
async fn port_rule(handle: &Handle, priority: u32, protocol: IpProtocol, port: Option<u16>) -> NetResult<()> {
    let mut rule = handle.rule().add().v4().priority(priority);
    rule = match port {
        Some(_) => rule.table_id(TABLE_LOCAL).action(RuleAction::ToTable),
        None => rule.action(RuleAction::Blackhole),
    };
    let attributes = &mut rule.message_mut().attributes;
    attributes.push(RuleAttribute::IpProtocol(protocol));
    if let Some(port) = port {
        attributes.push(RuleAttribute::DestinationPortRange(RulePortRange { start: port, end: port }));
    }
    rule.execute().await.during("adding a rule for a port")
}

/// From now on the internet delivers TCP packets to this port to its own listener.
pub async fn open_port(internet: &Handle, port: u16) -> NetResult<()> {
    port_rule(internet, RULE_PORTS, IpProtocol::Tcp, Some(port)).await
}

/// What becomes of everything that a candidate sends out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Egress {
    /// The simulated internet answers.
    Open,
    /// It vanishes.
    Drop,
    /// It is refused.
    Reject,
    /// A router says that the host cannot be reached. It vanishes, and the holder says so itself (see
    /// `packets::unreachable`): an unreachable route answers only five packets at once.
    Unreachable,
}

/// Takes away the faults of the last run and puts those of this one into the router.
pub async fn set_egress(internet: &Handle, egress: Egress) -> NetResult<()> {
    let default = || route(Ipv4Addr::UNSPECIFIED, 0).table_id(TABLE_FAULTS);
    let message = match egress {
        Egress::Open => {
            // There may be none to take away.
            let _ = internet
                .route()
                .del(default().scope(RouteScope::NoWhere).kind(RouteType::Unspec).build())
                .execute()
                .await;
            return Ok(());
        }
        Egress::Drop | Egress::Unreachable => default().kind(RouteType::BlackHole).build(),
        Egress::Reject => default().scope(RouteScope::Link).output_interface(VOID_LINK).build(),
    };
    add_route(internet, message).await
}

fn router_link(run: u64) -> u32 {
    FIRST_ROUTER_LINK + u32::try_from(run % 1_000_000).unwrap_or_default()
}

/// Takes the link between a run's candidate and the internet away.
pub async fn unlink(internet: &Handle, run: u64) -> NetResult<()> {
    internet.link().del(router_link(run)).execute().await.during("unlinking the candidate")
}

/// Gives the namespace that the calling thread is in the kernel's own retry times back.
pub fn real_time() -> NetResult<()> {
    sysctl("ipv4/tcp_syn_retries", KERNELS_SYN_RETRIES)
}

/// Fills the candidate's namespace, which the calling thread is in, and links it to the internet.
pub async fn candidate(
    handle: &Handle,
    internet: &Handle,
    internet_ns: &File,
    run: u64,
    second_address: bool,
    real_time: bool,
) -> NetResult<()> {
    loopback_up(handle).await?;
    let router_link = router_link(run);
    let router_name = format!("run{run}");
    let ends = [("eth0", CANDIDATE_LINK, CANDIDATE_MAC), (router_name.as_str(), router_link, ROUTER_MAC)];
    link_pair([handle, internet], ends, internet_ns, true).await?;
    let mut addresses = vec![OWN];
    addresses.extend(second_address.then_some(SECOND));
    for address in &addresses {
        let add = handle.address().add(CANDIDATE_LINK, IpAddr::V4(*address), 32);
        add.execute().await.during("giving the candidate its address")?;
    }
    neighbour(handle, CANDIDATE_LINK, GATEWAY, ROUTER_MAC).await?;
    let to_gateway = route(GATEWAY, 32).scope(RouteScope::Link).output_interface(CANDIDATE_LINK).pref_source(OWN);
    add_route(handle, to_gateway.build()).await?;
    add_route(handle, route(Ipv4Addr::UNSPECIFIED, 0).gateway(GATEWAY).pref_source(OWN).build()).await?;
    for address in [OWN, SECOND] {
        neighbour(internet, router_link, address, CANDIDATE_MAC).await?;
        // Probes come from the router's address.
        add_route(internet, device_route(address, router_link).pref_source(GATEWAY).build()).await?;
    }
    // Docker opens the low ports for every user; `ports.privileged` is the condition that closes them.
    sysctl("ipv4/ip_unprivileged_port_start", "0")?;
    if !real_time {
        sysctl("ipv4/tcp_syn_retries", COMPRESSED_SYN_RETRIES)?;
    }
    Ok(())
}
