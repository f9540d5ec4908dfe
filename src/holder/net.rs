//! Namespaces, links, routes and rules of a holder.
//!
//! Why routes and not netfilter: a drop in netfilter's OUTPUT tells a UDP sender EPERM at once, which no cloud
//! does, and many kernels lack parts of it. A route in the *router* is silent for both protocols, and is there
//! on every kernel.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;

use nix::sched::{CloneFlags, unshare};
use rtnetlink::packet_route::IpProtocol;
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkMessage};
use rtnetlink::packet_route::route::{RouteMessage, RouteScope, RouteType};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RulePortRange};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder, RuleAddRequest};

use crate::model::condition::{Egress, HostnameFault, MetadataFault, NetworkPlan, RouteFault};

use super::error::{NetError, NetResult};
use super::protocol::{EC2_METADATA, GATEWAY, METADATA, OWN, SECOND};
use super::sysctl;

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
const SLOW_LINK: u32 = 502;
/// The links of service containers count from here, in the internet; in their own namespace they are alike.
const FIRST_SERVICE_LINK: u32 = 600;
const SERVICE_LINK: u32 = 500;
/// The router's ends of candidates' links count from here.
const FIRST_ROUTER_LINK: u32 = 1000;

/// The kernel's tables.
const TABLE_LOCAL: u32 = 255;
const TABLE_MAIN: u32 = 254;
/// The table of the faults of the run.
const TABLE_FAULTS: u32 = 100;

/// The table of metadata that is refused: the credentials' where there are none, and the virtual machine's always.
const TABLE_NO_METADATA: u32 = 102;
/// The table of ways to the candidate that lead through the slow namespace; empty where nothing is slow.
const TABLE_SLOW: u32 = 101;

/// A route that any other goes before.
const LAST: u32 = 1000;

/// Order of the rules in the internet and the void.
const RULE_TO_GATEWAY: u32 = 5;
/// What has been slow already, probes and metadata, which never are.
const RULE_NOT_SLOW: u32 = 7;
const RULE_SLOW: u32 = 9;
const RULE_TO_CANDIDATE: u32 = 10;
const RULE_TO_SERVICES: u32 = 12;
/// Link-local addresses are not behind any gateway: faults of egress leave them alone.
const RULE_NO_METADATA: u32 = 14;
const RULE_METADATA: u32 = 15;
const RULE_FAULTS: u32 = 20;
const RULE_PORTS: u32 = 60;
const RULE_SILENCE: u32 = 90;
const RULE_LOCAL: u32 = 100;

/// The mark of a packet that has been held back.
pub(crate) const SLOWED_MARK: u32 = 0xe1;
/// The address of the first service container.
const FIRST_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 0, 62, 1);

/// Moves the calling thread into a fresh network namespace.
pub(crate) fn fresh_namespace() -> NetResult<()> {
    unshare(CloneFlags::CLONE_NEWNET).during("making a network namespace")
}

/// A handle of the calling thread's network namespace; it keeps the namespace alive.
pub(crate) fn this_namespace() -> NetResult<File> {
    File::open("/proc/thread-self/ns/net").during("opening the network namespace")
}

/// A netlink connection into the calling thread's network namespace; needs a running tokio runtime on this thread.
pub(crate) fn netlink() -> NetResult<Handle> {
    let (connection, handle, _) = rtnetlink::new_connection().during("opening netlink")?;
    tokio::spawn(connection);
    Ok(handle)
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
        sysctl::set(name, value)?;
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
pub(crate) async fn internet(handle: &Handle, void: &Handle, void_ns: &File) -> NetResult<()> {
    every_address_is_local(handle).await?;
    rule_all(handle, RULE_FAULTS, TABLE_FAULTS).await?;
    for address in [OWN, SECOND] {
        rule_to(handle, RULE_SLOW, address, TABLE_SLOW).await?;
    }
    not_slow(handle).await?;
    for address in [METADATA, EC2_METADATA] {
        rule_to(handle, RULE_NO_METADATA, address, TABLE_NO_METADATA).await?;
    }
    rule_to(handle, RULE_METADATA, METADATA, TABLE_LOCAL).await?;
    // A TCP port without a listener is silent until there is one (see `open_port`); UDP is swallowed.
    for protocol in [IpProtocol::Tcp, IpProtocol::Udp] {
        port_rule(handle, RULE_SILENCE, protocol, None).execute().await.during("adding a rule")?;
    }
    // The void has every address: its link asks for no neighbours, and both ends have one hardware address.
    let ends = [("void", VOID_LINK, ROUTER_MAC), ("internet", VOID_LINK, ROUTER_MAC)];
    link_pair([handle, void], ends, void_ns, false).await?;
    for address in [OWN, SECOND] {
        add_route(void, device_route(address, VOID_LINK).build()).await?;
    }
    add_route(handle, refused(route(EC2_METADATA, 32).table_id(TABLE_NO_METADATA))).await
}

/// A route into the void, where every address is and nobody listens.
fn refused(builder: RouteMessageBuilder<Ipv4Addr>) -> RouteMessage {
    builder.scope(RouteScope::Link).output_interface(VOID_LINK).build()
}

/// What goes to the candidate at once: answers of the probe and of the metadata, and what has been held back already.
async fn not_slow(handle: &Handle) -> NetResult<()> {
    for address in [OWN, SECOND] {
        let to = || {
            let rule = handle.rule().add().v4().priority(RULE_NOT_SLOW).table_id(TABLE_MAIN);
            rule.action(RuleAction::ToTable).destination_prefix(address, 32)
        };
        for from in [GATEWAY, METADATA, EC2_METADATA] {
            to().source_prefix(from, 32).execute().await.during("adding a rule")?;
        }
        let mut marked = to();
        marked.message_mut().attributes.push(RuleAttribute::FwMark(SLOWED_MARK));
        marked.execute().await.during("adding a rule")?;
    }
    Ok(())
}

/// Links the internet with the namespace in which packets wait (see `slow`).
pub(crate) async fn slow(internet: &Handle, slow: &Handle, slow_ns: &File) -> NetResult<()> {
    loopback_up(slow).await?;
    let ends = [("slow", SLOW_LINK, ROUTER_MAC), ("internet", SLOW_LINK, ROUTER_MAC)];
    link_pair([internet, slow], ends, slow_ns, false).await?;
    // One packet at a time: what is read here must fit the link when it is sent on.
    let mut one_segment = LinkUnspec::new_with_index(SLOW_LINK).build();
    one_segment.attributes.push(LinkAttribute::GsoMaxSegs(1));
    internet.link().set(one_segment).execute().await.during("setting up the slow link")
}

/// Puts the namespace that the calling thread is in, which must be fresh, beside the internet for a service container.
pub(crate) async fn service(handle: &Handle, internet: &Handle, internet_ns: &File, number: u32) -> NetResult<()> {
    let address = service_address(number);
    let link = FIRST_SERVICE_LINK + number;
    loopback_up(handle).await?;
    let name = format!("service{number}");
    // One left of a run that broke off.
    let _ = internet.link().del(link).execute().await;
    let ends = [("eth0", SERVICE_LINK, CANDIDATE_MAC), (name.as_str(), link, ROUTER_MAC)];
    link_pair([handle, internet], ends, internet_ns, true).await?;
    let add = handle.address().add(SERVICE_LINK, IpAddr::V4(address), 32);
    add.execute().await.during("giving a service its address")?;
    neighbour(handle, SERVICE_LINK, GATEWAY, ROUTER_MAC).await?;
    add_route(handle, device_route(GATEWAY, SERVICE_LINK).pref_source(address).build()).await?;
    neighbour(internet, link, address, CANDIDATE_MAC).await?;
    add_route(internet, device_route(address, link).pref_source(GATEWAY).build()).await?;
    sysctl::open_every_port()?;
    // Only the holder's own connections go there; a candidate's are answered by the internet.
    let mut rule = internet.rule().add().v4().priority(RULE_TO_SERVICES).table_id(TABLE_MAIN);
    rule = rule.action(RuleAction::ToTable).destination_prefix(address, 32).input_interface("lo".to_owned());
    // There already from a run before.
    let _ = rule.execute().await;
    Ok(())
}

/// Takes the link of a service container away.
pub(crate) async fn unlink_service(internet: &Handle, number: u32) -> NetResult<()> {
    internet.link().del(FIRST_SERVICE_LINK + number).execute().await.during("unlinking a service")
}

/// The address of a service container, which only the holder uses.
#[must_use]
pub(crate) fn service_address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(FIRST_SERVICE) + number)
}

/// Sets up the void in the calling thread's namespace, which must be fresh.
pub(crate) async fn void(handle: &Handle) -> NetResult<()> {
    every_address_is_local(handle).await
}

fn device_route(to: Ipv4Addr, link: u32) -> RouteMessageBuilder<Ipv4Addr> {
    route(to, 32).scope(RouteScope::Link).output_interface(link)
}

/// `port`: packets to it are delivered here. `None`: packets of this protocol vanish.
fn port_rule(handle: &Handle, priority: u32, protocol: IpProtocol, port: Option<u16>) -> RuleAddRequest<Ipv4Addr> {
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
    rule
}

/// From now on the internet delivers TCP packets to this port nowhere.
pub(crate) async fn close_port(internet: &Handle, port: u16) -> NetResult<()> {
    let message = port_rule(internet, RULE_PORTS, IpProtocol::Tcp, Some(port)).message_mut().clone();
    internet.rule().del(message).execute().await.during("taking a rule for a port away")
}

/// From now on the internet delivers TCP packets to this port to its own listener.
pub(crate) async fn open_port(internet: &Handle, port: u16) -> NetResult<()> {
    port_rule(internet, RULE_PORTS, IpProtocol::Tcp, Some(port)).execute().await.during("adding a rule for a port")
}

/// An address, and how many bits of it count.
pub(crate) type Network = (Ipv4Addr, u8);

/// Routes that the run before this one left in the router.
#[derive(Default)]
pub(crate) struct Faults(Vec<RouteMessage>);

impl Faults {
    /// Takes away the faults of the last run and puts those of this one into the router.
    pub(crate) async fn set(
        &mut self,
        internet: &Handle,
        plan: &NetworkPlan,
        wanted: &[(Network, RouteFault)],
    ) -> NetResult<()> {
        for old in self.0.drain(..) {
            internet.route().del(old).execute().await.during("taking a fault away")?;
        }
        // Gone already where the route out has come.
        let _ = internet.route().del(no_way()).execute().await;
        let fault = |(to, bits): Network| route(to, bits).table_id(TABLE_FAULTS);
        let dead = |builder: RouteMessageBuilder<Ipv4Addr>| builder.kind(RouteType::BlackHole).build();
        let everything = (Ipv4Addr::UNSPECIFIED, 0);
        // One route for a network: what is about one host or network beats what is about all.
        let mut routes: BTreeMap<Network, RouteMessage> = BTreeMap::new();
        match plan.egress {
            Egress::Open => {}
            // Without a route nothing comes here, save from a socket that is bound to the interface.
            Egress::None | Egress::Late(_) => add_route(internet, no_way()).await?,
            Egress::Drop | Egress::Unreachable => {
                routes.insert(everything, dead(fault(everything)));
            }
            Egress::Reject => {
                routes.insert(everything, refused(fault(everything)));
            }
        }
        for (network, becomes) in wanted {
            let route = match becomes {
                RouteFault::Silent => dead(fault(*network)),
                RouteFault::Refused => refused(fault(*network)),
                // The tables after this one know what to do.
                RouteFault::Open => fault(*network).kind(RouteType::Throw).build(),
            };
            routes.insert(*network, route);
        }
        self.0.extend(routes.into_values());
        if plan.metadata == Some(MetadataFault::None) {
            self.0.push(refused(route(METADATA, 32).table_id(TABLE_NO_METADATA)));
        }
        if plan.latency.is_some() {
            let slow = |address| device_route(address, SLOW_LINK).table_id(TABLE_SLOW).build();
            self.0.extend([OWN, SECOND].map(slow));
        }
        for message in &self.0 {
            add_route(internet, message.clone()).await?;
        }
        Ok(())
    }
}

fn router_link(run: u64) -> u32 {
    FIRST_ROUTER_LINK + u32::try_from(run % 1_000_000).unwrap_or_default()
}

/// Takes the link between a run's candidate and the internet away.
pub(crate) async fn unlink(internet: &Handle, run: u64) -> NetResult<()> {
    internet.link().del(router_link(run)).execute().await.during("unlinking the candidate")
}

/// Fills the candidate's namespace, which the calling thread is in, and links it to the internet.
pub(crate) async fn candidate(
    handle: &Handle,
    internet: &Handle,
    internet_ns: &File,
    run: u64,
    plan: &NetworkPlan,
    real_time: bool,
) -> NetResult<()> {
    sysctl::set_for(plan)?;
    loopback_up(handle).await?;
    let router_link = router_link(run);
    let router_name = format!("run{run}");
    let ends = [("eth0", CANDIDATE_LINK, CANDIDATE_MAC), (router_name.as_str(), router_link, ROUTER_MAC)];
    link_pair([handle, internet], ends, internet_ns, true).await?;
    let mut addresses = vec![OWN];
    addresses.extend((plan.hostname == Some(HostnameFault::Platform)).then_some(SECOND));
    for address in &addresses {
        let add = handle.address().add(CANDIDATE_LINK, IpAddr::V4(*address), 32);
        add.execute().await.during("giving the candidate its address")?;
    }
    neighbour(handle, CANDIDATE_LINK, GATEWAY, ROUTER_MAC).await?;
    add_route(handle, device_route(GATEWAY, CANDIDATE_LINK).pref_source(OWN).build()).await?;
    // The endpoints of metadata are beside the container, not behind a gateway.
    for address in [METADATA, EC2_METADATA] {
        add_route(handle, route(address, 32).gateway(GATEWAY).pref_source(OWN).build()).await?;
    }
    if !matches!(plan.egress, Egress::None | Egress::Late(_)) {
        route_out(handle).await?;
    }
    for address in [OWN, SECOND] {
        neighbour(internet, router_link, address, CANDIDATE_MAC).await?;
        // Probes come from the router's address.
        add_route(internet, device_route(address, router_link).pref_source(GATEWAY).build()).await?;
    }
    // Only a connection that nobody will ever answer may be given up early. A slow network needs the kernel's own
    // patience, and so does a port that is opened when its first packet is seen.
    if !real_time && plan.latency.is_none() && plan.silent {
        sysctl::compressed_time()?;
    }
    Ok(())
}

/// Opens the way to the internet that was closed at first.
pub(crate) async fn open_late(internet: &Handle, candidate: &Handle) -> NetResult<()> {
    internet.route().del(no_way()).execute().await.during("opening the way out")?;
    route_out(candidate).await
}

/// What is in the router as long as there is no route out.
fn no_way() -> RouteMessage {
    route(Ipv4Addr::UNSPECIFIED, 0).table_id(TABLE_FAULTS).priority(LAST).kind(RouteType::BlackHole).build()
}

/// Gives the candidate its route to the internet.
async fn route_out(candidate: &Handle) -> NetResult<()> {
    add_route(candidate, route(Ipv4Addr::UNSPECIFIED, 0).gateway(GATEWAY).pref_source(OWN).build()).await
}

/// How many packets of the calling thread's namespace had no route (`OutNoRoutes`, RFC 1213's ipOutNoRoutes).
#[must_use]
pub(crate) fn without_route() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/net/snmp").ok()?;
    let mut lines = text.lines().filter(|l| l.starts_with("Ip:"));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let at = names.split_whitespace().position(|name| name == "OutNoRoutes")?;
    numbers.split_whitespace().nth(at)?.parse().ok()
}
