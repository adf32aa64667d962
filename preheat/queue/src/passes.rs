//! The order of work items in a lane: start-time fair queueing.
//!
//! Each work item has a *pass*, and the lowest pass is claimed first. An item gets the pass after the last item of its
//! own key, but never one before the current position of the lane. So a key with a thousand items and a key with one
//! take turns, and an idle key gains no credit. Each priority has its own order.
//!
//! **Invariant:** passes of one key, lane and priority rise in the order of enqueueing. A parked item gets its pass when
//! it is unparked.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::{Query, SelectStatement, SimpleExpr, SubQueryStatement};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};

use crate::rows::work::{Column, Entity, PARKED, RUNNING, WAITING};

/// Queries in one statement: databases limit its parameters.
const QUESTIONS_AT_ONCE: usize = 90;

/// What a pass depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LineKey<'a> {
    pub(crate) lane: &'a str,
    pub(crate) priority: i32,
    pub(crate) fair_key: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PassQuery<'a> {
    /// The next item to be claimed.
    LowestWaiting(&'a str, i32),
    /// The position of the lane if no item waits.
    HighestRunning(&'a str, i32),
    LastOfKey(&'a str, i32, &'a str),
}

type FoundPasses<'a> = BTreeMap<PassQuery<'a>, i64>;

/// Returns a pass for each, in the same order; one statement for about thirty lanes.
pub(crate) async fn passes(txn: &impl ConnectionTrait, stands: &[LineKey<'_>]) -> Result<Vec<i64>, DbErr> {
    let questions: BTreeSet<PassQuery<'_>> = stands.iter().flat_map(questions).collect();
    let questions: Vec<PassQuery<'_>> = questions.into_iter().collect();
    let mut answers = FoundPasses::new();
    for some in questions.chunks(QUESTIONS_AT_ONCE) {
        ask(txn, some, &mut answers).await?;
    }
    Ok(in_line(stands, &answers))
}

fn questions<'a>(stand: &LineKey<'a>) -> [PassQuery<'a>; 3] {
    let LineKey {
        lane,
        priority,
        fair_key,
    } = *stand;
    [
        PassQuery::LowestWaiting(lane, priority),
        PassQuery::HighestRunning(lane, priority),
        PassQuery::LastOfKey(lane, priority, fair_key),
    ]
}

/// Decides the passes from the state before any of these items.
fn in_line<'a>(stands: &[LineKey<'a>], answers: &FoundPasses<'a>) -> Vec<i64> {
    let mut last_of_key: BTreeMap<LineKey<'a>, i64> = BTreeMap::new();
    let pass = |stand: &LineKey<'a>| {
        let [waiting, running, of_key] = questions(stand).map(|question| answers.get(&question).copied());
        let reached = waiting.or(running).unwrap_or(0);
        let last = last_of_key.get(stand).copied().or(of_key).unwrap_or(0);
        let pass = reached.max(last) + 1;
        last_of_key.insert(*stand, pass);
        pass
    };
    stands.iter().map(pass).collect()
}

async fn ask<'a>(
    txn: &impl ConnectionTrait,
    questions: &[PassQuery<'a>],
    answers: &mut FoundPasses<'a>,
) -> Result<(), DbErr> {
    let mut all = Query::select();
    for (n, question) in questions.iter().enumerate() {
        all.expr_as(scalar(question), format!("q{n}"));
    }
    let Some(row) = txn.query_one(&all).await? else {
        return Ok(());
    };
    for (n, question) in questions.iter().enumerate() {
        if let Some(pass) = row.try_get_by_index::<Option<i64>>(n)? {
            answers.insert(*question, pass);
        }
    }
    Ok(())
}

/// One index lookup, regardless of the lane's length.
fn scalar(question: &PassQuery<'_>) -> SimpleExpr {
    SimpleExpr::SubQuery(None, Box::new(SubQueryStatement::SelectStatement(look(question))))
}

fn look(question: &PassQuery<'_>) -> SelectStatement {
    let (PassQuery::LowestWaiting(lane, priority)
    | PassQuery::HighestRunning(lane, priority)
    | PassQuery::LastOfKey(lane, priority, _)) = *question;
    let in_lane = Entity::find()
        .select_only()
        .column(Column::Pass)
        .filter(Column::Lane.eq(lane))
        .filter(Column::Priority.eq(priority))
        .filter(Column::Pass.lt(PARKED))
        .limit(1);
    match question {
        PassQuery::LowestWaiting(..) => in_lane
            .filter(Column::State.eq(WAITING))
            .order_by_asc(Column::Pass),
        PassQuery::HighestRunning(..) => in_lane
            .filter(Column::State.eq(RUNNING))
            .order_by_desc(Column::Pass),
        PassQuery::LastOfKey(_, _, key) => in_lane
            .filter(Column::FairKey.eq(*key))
            .order_by_desc(Column::Pass),
    }
    .into_query()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LANE: &str = "manager";

    fn of(fair_key: &str) -> LineKey<'_> {
        LineKey {
            lane: LANE,
            priority: 0,
            fair_key,
        }
    }

    #[test]
    fn keys_take_turns_from_the_current_position_of_the_lane() {
        let answers = FoundPasses::from([
            (PassQuery::LowestWaiting(LANE, 0), 501),
            (PassQuery::LastOfKey(LANE, 0, "many"), 1_000),
        ]);
        let stands = [of("few"), of("few"), of("many"), of("new")];
        assert_eq!(in_line(&stands, &answers), [502, 503, 1_001, 502]);
    }

    #[test]
    fn a_new_key_gains_no_advantage_while_all_items_run() {
        let answers = FoundPasses::from([
            (PassQuery::HighestRunning(LANE, 0), 1_000),
            (PassQuery::LastOfKey(LANE, 0, "many"), 1_000),
        ]);
        assert_eq!(in_line(&[of("new"), of("many")], &answers), [1_001, 1_001]);
    }

    proptest! {
        #[test]
        fn each_key_gets_consecutive_passes_regardless_of_others(
            keys in proptest::collection::vec(0_usize..4, 1..60),
        ) {
            const NAMES: [&str; 4] = ["a", "b", "c", "d"];
            let stands: Vec<_> = keys.iter().map(|key| of(NAMES[*key])).collect();
            let passes = in_line(&stands, &FoundPasses::new());
            for name in NAMES {
                let own: Vec<i64> =
                    std::iter::zip(&stands, &passes).filter(|(s, _)| s.fair_key == name).map(|(_, p)| *p).collect();
                let expected: Vec<i64> = (1..).take(own.len()).collect();
                prop_assert_eq!(own, expected);
            }
        }
    }
}
