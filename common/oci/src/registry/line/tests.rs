//! Programs that share a registry which allows `allowed` requests at once, simulated in steps of a millisecond.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn ms(count: u64) -> Moment {
    Duration::from_millis(count)
}

/// Small numbers in an order without a pattern.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u32::try_from(self.0 >> 32).unwrap_or_default()
    }
}

/// One program: its line, and its requests in flight as (place, what the registry said, when it ends).
struct Program {
    line: Line<u64>,
    flying: Vec<(Place, bool, u64)>,
    /// Objects that are not begun.
    waiting: u64,
    working_on: u64,
    refused: u32,
}

struct World {
    allowed: usize,
    retry_after: Option<Duration>,
    programs: Vec<Program>,
    chance: Chance,
    at: u64,
}

/// Objects that a program works on at once.
const AT_ONCE: u64 = 8;
/// How long the body of an object takes, and a refusal.
const BODY: u64 = 200;
const REFUSAL: u64 = 3;

impl World {
    fn new(allowed: usize, programs: u64, objects: u64, seed: u64) -> Self {
        let program = |_| Program {
            line: Line::default(),
            flying: Vec::new(),
            waiting: objects,
            working_on: 0,
            refused: 0,
        };
        Self {
            allowed,
            retry_after: None,
            programs: (0..programs).map(program).collect(),
            chance: Chance(seed),
            at: 0,
        }
    }

    fn served(&self) -> usize {
        let flying = self.programs.iter().flat_map(|program| &program.flying);
        flying.filter(|(_, is_served, _)| *is_served).count()
    }

    fn is_over(&self) -> bool {
        let left = |program: &Program| program.waiting + program.working_on > 0;
        !self.programs.iter().any(left)
    }

    /// Runs until all is fetched, or `limit` is over. Returns the time.
    fn run(&mut self, limit: u64) -> u64 {
        while self.at < limit && !self.is_over() {
            for number in 0..self.programs.len() {
                self.end_requests(number);
                self.begin_requests(number);
            }
            self.at += 1;
        }
        self.at
    }

    fn end_requests(&mut self, number: usize) {
        let (at, now) = (self.at, ms(self.at));
        let flying = &mut self.programs[number].flying;
        let ended: Vec<_> = flying.extract_if(.., |(_, _, ends)| *ends <= at).collect();
        for (place, is_served, _) in ended {
            let chance = self.chance.next();
            let retry_after = self.retry_after;
            let program = &mut self.programs[number];
            if is_served {
                program.line.ended(now, &place, Some(ms(BODY)));
                program.working_on -= 1;
                continue;
            }
            program.refused += 1;
            program.line.refused(now, &place, Refusal { retry_after, chance });
            let not_before = now + retry_after.unwrap_or_default();
            assert!(program.line.wait(now, "library", not_before, 0));
        }
    }

    fn begin_requests(&mut self, number: usize) {
        let now = ms(self.at);
        let program = &mut self.programs[number];
        while program.working_on < AT_ONCE && program.waiting > 0 {
            program.working_on += 1;
            program.waiting -= 1;
            assert!(program.line.wait(now, "library", now, 0));
        }
        for (_, place) in self.programs[number].line.admit(now, |_| true) {
            let is_served = self.served() < self.allowed;
            let program = &mut self.programs[number];
            if is_served {
                program.line.served(now, &place);
            }
            let ends = self.at + if is_served { BODY } else { REFUSAL };
            program.flying.push((place, is_served, ends));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn one_program_is_as_fast_as_with_the_right_limit_set(allowed in 1_usize..=8, seed: u64) {
        let mut world = World::new(allowed, 1, 48, seed);
        let best = 48_u64.div_ceil(allowed as u64) * 200;
        let took = world.run(60_000);
        prop_assert!(took <= best * 6 / 5, "{took} ms instead of {best}");
    }

    #[test]
    fn programs_that_share_a_limit_all_end(allowed in 1_usize..=4, programs in 2_u64..=4, seed: u64) {
        let mut world = World::new(allowed, programs, 24, seed);
        let best = (24 * programs).div_ceil(allowed as u64) * 200;
        let took = world.run(best * 3);
        prop_assert!(took <= best * 5 / 2, "{took} ms instead of {best}");
    }

    #[test]
    fn a_registry_that_refuses_everything_is_asked_seldom(seed: u64) {
        let mut world = World::new(0, 1, 8, seed);
        world.run(60_000);
        prop_assert!(world.programs[0].refused < 120, "{}", world.programs[0].refused);
    }
}

fn go(line: &mut Line<u64>, at: u64, project: &str) -> Option<Place> {
    assert!(line.wait(ms(at), project, ms(at), 0));
    let admitted = line.admit(ms(at), |_| true).pop().map(|(_, place)| place);
    if admitted.is_none() {
        line.waiting.clear();
    }
    admitted
}

fn refused(line: &mut Line<u64>, at: u64, place: &Place) {
    let refusal = Refusal {
        retry_after: None,
        chance: 0,
    };
    line.refused(ms(at), place, refusal);
}

#[test]
fn a_refusal_narrows_its_project_to_what_is_in_flight() {
    let mut line = Line::default();
    let places: Vec<_> = (0..8).map(|_| go(&mut line, 0, "proxy").unwrap()).collect();
    for place in &places[2..] {
        refused(&mut line, 10, place);
    }
    assert_eq!(line.limit(), Some(2));
    assert_eq!(go(&mut line, 20, "proxy"), None);
    assert!(
        go(&mut line, 20, "library").is_some(),
        "another project is not narrowed"
    );
}

#[test]
fn a_refusal_with_only_other_projects_in_flight_narrows_the_registry() {
    let mut line = Line::default();
    let _first = go(&mut line, 0, "a").unwrap();
    let _second = go(&mut line, 0, "b").unwrap();
    let place = go(&mut line, 0, "c").unwrap();
    refused(&mut line, 10, &place);
    assert_eq!(line.limit(), Some(2));
    for project in ["a", "c", "d"] {
        assert_eq!(go(&mut line, 20, project), None);
    }
}

#[test]
fn one_more_is_tried_after_a_quiet_while() {
    let mut line = Line::default();
    let kept = go(&mut line, 0, "proxy").unwrap();
    let place = go(&mut line, 0, "proxy").unwrap();
    refused(&mut line, 10, &place);
    assert_eq!(go(&mut line, 20, "proxy"), None);
    let at = line.registry.opens_at(ms(20));
    assert_eq!(at, None);
    let probe = go(&mut line, 500, "proxy").unwrap();
    assert_eq!(go(&mut line, 500, "proxy"), None, "one at a time");
    line.served(ms(510), &probe);
    assert_eq!(line.limit(), Some(2));
    line.ended(ms(700), &kept, Some(ms(200)));
}

#[test]
fn an_idle_line_is_forgotten_only_when_its_limit_is_old() {
    let mut line = Line::default();
    let kept = go(&mut line, 0, "proxy").unwrap();
    let place = go(&mut line, 0, "proxy").unwrap();
    refused(&mut line, 10, &place);
    line.ended(ms(300), &kept, Some(ms(300)));
    assert!(line.tidy(ms(60_000)));
    assert!(!line.tidy(ms(700_000)));
    let place = go(&mut line, 700_000, "library").unwrap();
    line.ended(ms(700_100), &place, Some(ms(100)));
    assert!(!line.tidy(ms(700_100)), "a line without a limit is not kept");
}
