//! The way out of the container: `egress.*` and `latency`.

use std::time::Duration;

use super::kind::within;
use super::network::{Egress, RouteFault};
use super::{Argument, ByHand, Changes, Condition, Family, Kind, Reach, Target, Wait, shorter};
use crate::model::platform::Platform;
use crate::model::units::{parse_duration, show_duration};

/// How the way out fails.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EgressFault {
    /// Outbound packets vanish; DNS answers (a VPC without a NAT gateway).
    Drop(Reach),
    /// Outbound connections are refused at once.
    Reject,
    /// A router answers "host unreachable" at once.
    Unreachable,
    /// There is no route out.
    None,
    /// The route out appears only this long after the start of the process.
    Late(Duration),
    /// Every round trip to the internet takes this much longer.
    Latency(Duration),
}

static DROP: Kind = Kind::new(
    "egress.drop",
    Argument::Optional("HOST_OR_CIDR"),
    "outbound packets vanish; DNS still answers",
    |written| {
        let reach = if written.argument.is_empty() { Reach::Everything } else { written.parse()? };
        Ok(Condition::Egress(EgressFault::Drop(reach)))
    },
);
static REJECT: Kind = Kind::new("egress.reject", Argument::None, "outbound connections are refused", |_| {
    Ok(Condition::Egress(EgressFault::Reject))
});
static UNREACHABLE: Kind =
    Kind::new("egress.unreachable", Argument::None, "a router answers `host unreachable`", |_| {
        Ok(Condition::Egress(EgressFault::Unreachable))
    });
static NONE: Kind =
    Kind::new("egress.none", Argument::None, "there is no route out", |_| Ok(Condition::Egress(EgressFault::None)));
static LATE: Kind = Kind::new(
    "egress.late",
    Argument::Required("20s"),
    "the route out appears only this long after the start",
    |written| Ok(Condition::Egress(EgressFault::Late(written.time()?))),
);
static LATENCY: Kind = Kind::new(
    "latency",
    Argument::Required("200ms"),
    "every round trip to the internet takes this much longer",
    |written| {
        let length = parse_duration(written.argument)?;
        let length = within(length, Duration::from_millis(1)..=Duration::from_secs(60), show_duration)?;
        Ok(Condition::Egress(EgressFault::Latency(length)))
    },
);
pub(super) const KINDS: &[&Kind] = &[&DROP, &REJECT, &UNREACHABLE, &NONE, &LATE, &LATENCY];

impl Family for EgressFault {
    fn kind(&self) -> &'static Kind {
        match self {
            Self::Drop(_) => &DROP,
            Self::Reject => &REJECT,
            Self::Unreachable => &UNREACHABLE,
            Self::None => &NONE,
            Self::Late(_) => &LATE,
            Self::Latency(_) => &LATENCY,
        }
    }

    fn argument(&self) -> String {
        match self {
            Self::Drop(reach) => reach.to_string(),
            Self::Late(length) | Self::Latency(length) => format!(":{}", show_duration(*length)),
            Self::Reject | Self::Unreachable | Self::None => String::new(),
        }
    }

    fn slot(&self) -> Option<String> {
        Some(match self {
            Self::Drop(Reach::Only(Target::Host(host))) => format!("what {host} answers"),
            Self::Drop(Reach::Only(network)) => format!("egress to {network}"),
            Self::Drop(_) | Self::Reject | Self::Unreachable | Self::None | Self::Late(_) => "egress".to_owned(),
            Self::Latency(_) => "latency".to_owned(),
        })
    }

    fn words(&self) -> String {
        match self {
            Self::Drop(Reach::Everything) => "outbound traffic is dropped".to_owned(),
            Self::Drop(Reach::Only(target)) => format!("traffic to {target} is dropped"),
            Self::Drop(Reach::AllBut(targets)) => {
                let list: Vec<String> = targets.iter().map(ToString::to_string).collect();
                format!("outbound traffic is dropped except to {}", list.join(", "))
            }
            Self::Reject => "outbound connections are refused".to_owned(),
            Self::Unreachable => "outbound hosts are unreachable".to_owned(),
            Self::None => "there is no route out".to_owned(),
            Self::Late(length) => format!("the network comes {} late", show_duration(*length)),
            Self::Latency(length) => format!("a round trip takes {} longer", show_duration(*length)),
        }
    }

    fn impose(&self, changes: &mut Changes) {
        let network = &mut changes.network;
        match self {
            Self::Drop(Reach::Everything) => network.egress = Egress::Drop,
            Self::Drop(Reach::Only(target)) => network.routes.push((target.clone(), RouteFault::Silent)),
            Self::Drop(Reach::AllBut(targets)) => {
                network.egress = Egress::Drop;
                network.routes.extend(targets.iter().map(|target| (target.clone(), RouteFault::Open)));
            }
            Self::Reject => network.egress = Egress::Reject,
            Self::Unreachable => network.egress = Egress::Unreachable,
            Self::None => network.egress = Egress::None,
            Self::Late(length) => network.egress = Egress::Late(*length),
            Self::Latency(length) => network.latency = Some(*length),
        }
    }

    fn wait(&self) -> Wait {
        match self {
            Self::Drop(_) => Wait::Silence,
            Self::Late(length) => Wait::For(*length),
            Self::Latency(length) => Wait::RoundTrips(*length),
            Self::Reject | Self::Unreachable | Self::None => Wait::Nothing,
        }
    }

    fn milder(&self, _: &Platform) -> Vec<Condition> {
        match self {
            Self::Late(length) => shorter(*length, |length| Condition::Egress(Self::Late(length))),
            Self::Latency(length) => shorter(*length, |length| Condition::Egress(Self::Latency(length))),
            _ => Vec::new(),
        }
    }

    fn by_hand(&self) -> ByHand {
        let Self::Latency(length) = self else { return ByHand::Planned };
        ByHand::Impossible(format!(
            "cannot be imposed by standard tools alone: `tc qdisc add … netem delay {}` needs a kernel with netem, which \
             many machines that run containers lack",
            show_duration(*length)
        ))
    }
}
