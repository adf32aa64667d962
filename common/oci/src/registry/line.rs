//! The requests of one account at one registry: a [`Width`] for each project (the first segment of the repository), one
//! for the whole registry, and the line of those that wait. Pure: the caller gives time and chance.
//!
//! **Invariant:** who waits goes in order, except past those whose project is full.

use std::collections::{HashMap, VecDeque};

use super::width::{Moment, Refusal, Width};

/// Projects with a width. Beyond that, all new ones share one.
const KEPT_PROJECTS: usize = 256;
/// Requests that wait. Further ones are turned away.
const KEPT_WAITING: usize = 4_096;

/// A place in flight: what [`Line`] needs to know when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    project: String,
    probes_project: bool,
    probes_registry: bool,
}

struct Waiting<T> {
    project: String,
    not_before: Moment,
    who: T,
}

pub(super) struct Line<T> {
    registry: Width,
    projects: HashMap<String, Width>,
    waiting: VecDeque<Waiting<T>>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            registry: Width::default(),
            projects: HashMap::new(),
            waiting: VecDeque::new(),
        }
    }
}

impl<T> Line<T> {
    /// Adds a request to the line. Returns `false` if the line is full.
    pub(super) fn wait(&mut self, now: Moment, project: &str, not_before: Moment, who: T) -> bool {
        if self.waiting.len() >= KEPT_WAITING {
            return false;
        }
        let project = self.known(now, project);
        self.waiting.push_back(Waiting {
            project,
            not_before,
            who,
        });
        true
    }

    /// Takes those out of the line that may go now. Those for which `is_there` is false are dropped.
    pub(super) fn admit(&mut self, now: Moment, is_there: impl Fn(&T) -> bool) -> Vec<(T, Place)> {
        let mut admitted = Vec::new();
        for waiting in std::mem::take(&mut self.waiting) {
            if !is_there(&waiting.who) {
                continue;
            }
            if now >= waiting.not_before
                && let Some(place) = self.take(now, &waiting.project)
            {
                admitted.push((waiting.who, place));
            } else {
                self.waiting.push_back(waiting);
            }
        }
        admitted
    }

    pub(super) fn served(&mut self, now: Moment, place: &Place) {
        self.registry.served(now, place.probes_registry);
        self.project(place).served(now, place.probes_project);
    }

    /// Narrows the project whose requests are in flight. If the refused project has none, others of this registry are
    /// what the registry counts: then it narrows the whole registry.
    pub(super) fn refused(&mut self, now: Moment, place: &Place, refusal: Refusal) {
        let is_alone = self.project(place).in_flight() <= 1;
        let others_elsewhere = self.registry.in_flight() > self.project(place).in_flight();
        let is_of_registry = self.registry.limit().is_some() || is_alone && others_elsewhere;
        if is_of_registry {
            self.registry.refused(now, refusal, place.probes_registry);
        } else {
            self.registry.ended(now, None, place.probes_registry);
        }
        if is_alone && others_elsewhere {
            self.project(place).ended(now, None, place.probes_project);
        } else {
            self.project(place).refused(now, refusal, place.probes_project);
        }
    }

    pub(super) fn ended(&mut self, now: Moment, place: &Place, served_for: Option<Moment>) {
        self.registry.ended(now, served_for, place.probes_registry);
        self.project(place).ended(now, served_for, place.probes_project);
    }

    /// Whether no other request is in flight.
    pub(super) fn is_alone(&self) -> bool {
        self.registry.in_flight() <= 1
    }

    /// Returns for how long nothing was served; zero while other requests are in flight.
    pub(super) fn unserved_for(&self, now: Moment, place: &Place) -> Moment {
        if !self.is_alone() {
            return Moment::ZERO;
        }
        let project = self.projects.get(&place.project);
        project.map_or(Moment::ZERO, |project| project.unserved_for(now))
    }

    /// Returns when time alone may let somebody go; `None` if nobody waits for time.
    pub(super) fn opens_at(&self, now: Moment) -> Option<Moment> {
        let of = |waiting: &Waiting<T>| {
            let project = self.projects.get(&waiting.project);
            let project = project.and_then(|project| project.opens_at(now));
            let own = Some(waiting.not_before).filter(|at| *at > now);
            project.into_iter().chain(own).min()
        };
        let registry = self.registry.opens_at(now);
        let waiting = self.waiting.iter().filter_map(of).min();
        registry
            .filter(|_| !self.waiting.is_empty())
            .into_iter()
            .chain(waiting)
            .min()
    }

    /// Returns the narrowest limit.
    pub(super) fn limit(&self) -> Option<u32> {
        let projects = self.projects.values().filter_map(Width::limit);
        projects.chain(self.registry.limit()).min()
    }

    /// Forgets what is not needed any more. Returns whether anything is left.
    pub(super) fn tidy(&mut self, now: Moment) -> bool {
        let waiting = &self.waiting;
        self.projects.retain(|name, project| {
            !project.is_idle(now) || waiting.iter().any(|waiting| waiting.project == *name)
        });
        !(self.projects.is_empty() && self.waiting.is_empty() && self.registry.is_idle(now))
    }

    fn take(&mut self, now: Moment, project: &str) -> Option<Place> {
        let width = self.projects.entry(project.to_owned()).or_default();
        (self.registry.may_go(now) && width.may_go(now)).then(|| Place {
            project: project.to_owned(),
            probes_project: width.take(now),
            probes_registry: self.registry.take(now),
        })
    }

    fn project(&mut self, place: &Place) -> &mut Width {
        self.projects.entry(place.project.clone()).or_default()
    }

    /// Returns the name under which the project is counted.
    fn known(&mut self, now: Moment, project: &str) -> String {
        if self.projects.len() >= KEPT_PROJECTS && !self.projects.contains_key(project) {
            self.tidy(now);
            if self.projects.len() >= KEPT_PROJECTS {
                return String::new();
            }
        }
        project.to_owned()
    }
}

#[cfg(test)]
mod tests;
