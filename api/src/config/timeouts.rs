//! `[timeouts]`: times of the manager. They were in `[limits]` once, and are still understood there.

use std::time::Duration;

use settings::Section;

/// What is not given stays as it is built in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// A preheat that has not ended by then fails, naming what is open.
    pub(crate) preheat_limit: Option<Duration>,
    /// A preheat fails if no seed was connected for as long.
    pub(crate) no_seed_limit: Option<Duration>,
    /// Placements of a peer that is absent for longer fail as "peer left".
    pub(crate) absent_limit: Option<Duration>,
    /// The work of an absent seed is given to another one after this.
    pub(crate) replan_after: Option<Duration>,
    /// A peer that has not called for as long has lost its session.
    pub(crate) session_lease: Option<Duration>,
    /// Preheats that ended longer ago are deleted; 0: they are kept for ever.
    pub(crate) keep_preheats: Option<Duration>,
    /// 0: seeds are not checked.
    pub(crate) spot_check_every: Option<Duration>,
}

pub(super) fn read(top: &Section<'_>) -> Timeouts {
    let (former, section) = (top.table("limits"), top.table("timeouts"));
    let built_in = preheat::Limits::default();
    let time = |key, default: Option<Duration>| {
        let found = former.moved_duration(key, &section);
        if found.is_none() {
            section.default_duration(key, default.unwrap_or_default());
        }
        found
    };
    Timeouts {
        preheat_limit: time("preheat_limit", Some(built_in.preheat_limit)),
        no_seed_limit: time("no_seed_limit", Some(built_in.no_seed_limit)),
        absent_limit: time("absent_limit", Some(built_in.absent_limit)),
        replan_after: time("replan_after", Some(built_in.replan_after)),
        session_lease: time("session_lease", Some(built_in.session_lease)),
        keep_preheats: time("keep_preheats", built_in.keep_ended),
        spot_check_every: time("spot_check_every", built_in.spot_check_every),
    }
}
