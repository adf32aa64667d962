//! `[store]`: how much of the disk the peer of `stoker up` may take. The keys are those of a peer's own file.

use peer::StoreLimits;
use peer::StoreSection;
use process::config::Faults;

use super::section::Section;

pub(super) fn read(file: &mut Section, faults: &mut Faults) -> StoreLimits {
    let mut section = file.table("store", faults);
    let written = StoreSection {
        quota: section.text("quota", faults),
        quota_share: section.text("quota_share", faults),
        keep_free: section.text("keep_free", faults),
        keep_unused: section.text("keep_unused", faults),
    };
    section.end(faults);
    written.read(faults)
}
