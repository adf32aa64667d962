//! `[timeouts]`: times of the manager. Earlier versions had them in `[limits]`, where they still work.

use std::time::Duration;

use settings::Section;

/// `None` stands for the built-in value.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// A preheat that takes longer fails and names its open placements.
    pub(crate) preheat_limit: Option<Duration>,
    /// A preheat fails if no seed was connected for this long.
    pub(crate) no_seed_limit: Option<Duration>,
    /// Placements of a peer that was disconnected for longer fail as "peer left".
    pub(crate) absent_limit: Option<Duration>,
    /// After this time, the placements of a disconnected seed move to another seed.
    pub(crate) replan_after: Option<Duration>,
    /// The session of a peer that sent no request for this long ends.
    pub(crate) session_lease: Option<Duration>,
    /// Preheats that ended longer ago are deleted. 0 keeps them for ever.
    pub(crate) keep_preheats: Option<Duration>,
    /// The interval of spot checks. 0 turns them off.
    pub(crate) spot_check_every: Option<Duration>,
}

pub(super) fn read(top: &Section<'_>) -> Timeouts {
    let (former, section) = (top.table("limits"), top.table("timeouts"));
    let built_in = preheat::Limits::default();
    let time = |key, default: Option<Duration>| {
        let value = former.moved_duration(key, &section);
        if value.is_none() {
            section.default_duration(key, default.unwrap_or_default());
        }
        value
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
