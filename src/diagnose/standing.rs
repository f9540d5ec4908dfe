//! Whether a condition applied to a deployment that failed. Pure.

use super::conditions::known;
use crate::model::condition::Each;
use crate::model::deployment::{Applies, ConditionStanding, Deployment, Ground, Revision, SameImage};
use crate::model::units::{show_bytes, show_cpu};
use crate::model::{Condition, ConditionSet, ImageFacts, Service};

/// The standing of a condition in the revision of a service. `image`: the image at hand, and whether it is the one that
/// was deployed.
#[must_use]
pub(crate) fn standing(
    condition: &Condition,
    revision: &Revision,
    service: &Service,
    image: (&ImageFacts, SameImage),
) -> ConditionStanding {
    let platform = &service.platform;
    let ground = if condition.is_of_image() {
        of_image(image, &platform.architecture)
    } else if platform.always.iter().any(|name| name == condition.name()) {
        Ground::new(Applies::InForce, format!("{} always does that", platform.name))
    } else if is_own_size(condition, service) {
        Ground::new(Applies::InForce, "that is the size of the instance")
    } else {
        known(condition).standing(revision)
    };
    ConditionStanding { condition: condition.clone(), ground }
}

/// The standing of what is judged from the image.
fn of_image((facts, same): (&ImageFacts, SameImage), architecture: &str) -> Ground {
    match (facts.runs_on(architecture), same) {
        (false, SameImage::Other) | (true, SameImage::Other | SameImage::Unknown) => {
            Ground::new(Applies::Possible, "the image at hand may not be the one that was deployed")
        }
        (false, _) => Ground::new(Applies::InForce, format!("the image is for {}", facts.platform())),
        (true, SameImage::Same) => Ground::new(
            Applies::RuledOut,
            format!("the image that was deployed is the one at hand, which is for {}", facts.platform()),
        ),
    }
}

/// Whether the image at hand is the one that was deployed, told from digests: a tag may have been moved.
#[must_use]
pub(crate) fn same_image(deployment: &Deployment, facts: &ImageFacts) -> SameImage {
    let named = deployment.revision.image.as_ref().filter(|image| image.holds).map(|image| &image.value);
    let logged = deployment.seen.as_ref().and_then(|seen| seen.image.as_ref());
    let references = [named, logged, deployment.pushed.as_ref()].into_iter().flatten();
    let Some((repository, digest)) = references.filter_map(|reference| reference.split_once('@')).next_back() else {
        return SameImage::Unknown;
    };
    // A registry's digest of an index is none of the image in it, so only digests of one repository can differ.
    let own = || facts.digests.iter().filter_map(|known| known.split_once('@'));
    if own().any(|(_, known)| known == digest) || facts.id.0 == digest {
        SameImage::Same
    } else if own().any(|(known, _)| known == repository) && facts.platforms.len() <= 1 {
        SameImage::Other
    } else {
        SameImage::Unknown
    }
}

/// Whether it limits a container to the size of the service's instance.
fn is_own_size(condition: &Condition, service: &Service) -> bool {
    let own = match condition.kind().each {
        Each::Cpu => show_cpu(service.cpu_milli),
        Each::Memory => show_bytes(service.memory),
        Each::Nothing | Each::Variable | Each::Secret | Each::Host => return false,
    };
    condition.to_string() == format!("{}:{own}", condition.name())
}

/// What to impose to run an image as it was deployed: everything in force, and of the network what a file points to. A VPC
/// that is not known to have a NAT gateway is taken to have none.
#[must_use]
pub(crate) fn to_impose(
    conditions: &[Condition],
    revision: &Revision,
    service: &Service,
) -> (ConditionSet, Vec<Condition>) {
    let image = (&ImageFacts::default(), SameImage::Unknown);
    let mut all: Vec<ConditionStanding> =
        conditions.iter().map(|condition| standing(condition, revision, service, image)).collect();
    let mut assumed = Vec::new();
    for of in &mut all {
        if of.ground.is == Applies::Possible && of.ground.is_hinted() && of.condition.is_of_network() {
            of.ground.is = Applies::InForce;
            assumed.push(of.condition.clone());
        }
    }
    (deployed(&all), assumed)
}

/// Everything that was in force, imposed together. Of two conditions that exclude each other, the first counts.
#[must_use]
pub(crate) fn deployed(standing: &[ConditionStanding]) -> ConditionSet {
    let mut set = ConditionSet::baseline();
    let in_force = standing.iter().filter(|of| of.ground.is == Applies::InForce);
    for condition in in_force.map(|of| &of.condition).filter(|condition| !condition.is_of_image()) {
        let with = set.iter().chain([condition]).cloned();
        set = ConditionSet::new(with).unwrap_or(set);
    }
    set
}
