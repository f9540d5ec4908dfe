//! The architecture of the platform: `arch.mismatch`, judged from the image.

use super::{Argument, ByHand, Changes, Condition, Family, Kind};

/// The platform runs linux/amd64 only. Nothing is run for it.
pub(super) struct Arch;

static MISMATCH: Kind =
    Kind::new("arch.mismatch", Argument::None, "the platform runs linux/amd64 only", |_| Ok(Condition::Arch));
pub(super) const KINDS: &[&Kind] = &[&MISMATCH];

impl Family for Arch {
    fn kind(&self) -> &'static Kind {
        &MISMATCH
    }

    fn words(&self) -> String {
        "the platform is linux/amd64".to_owned()
    }

    fn impose(&self, _: &mut Changes) {}

    fn by_hand(&self) -> ByHand {
        ByHand::Impossible("is judged from the image: nothing is run for it, by hand either".to_owned())
    }
}
