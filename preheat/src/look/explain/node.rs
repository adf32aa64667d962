//! Finds a peer by its name, its id, or the beginning of either.

use sea_orm::{EntityTrait, QueryOrder};

use super::error::ExplainError;
use super::facts::NodeFacts;
use crate::engine::preheater::Inner;
use crate::model::errors::StorageError;
use crate::peers::clusters;
use crate::rows::peers;

/// Names that an error lists.
const LISTED: usize = 8;
/// Letters of a wrong name that an error repeats.
const REPEATED: usize = 100;

pub(super) async fn find(inner: &Inner, wanted: &str) -> Result<NodeFacts, ExplainError> {
    let rows = peers::Entity::find()
        .order_by_asc(peers::Column::Name)
        .all(inner.reads())
        .await
        .map_err(StorageError::from)?;
    let row = chosen(&rows, wanted.trim())?;
    let cluster = clusters::name_of(inner, row.cluster_id)
        .await
        .map_err(StorageError::from)?;
    let session = row.session().map_err(StorageError::from)?;
    let last_renewed = session.and_then(|session| inner.sessions.last_renewed_ms(session));
    Ok(NodeFacts {
        id: row.uuid().map_err(StorageError::from)?,
        name: row.name.clone(),
        cluster,
        cluster_id: row.cluster_id,
        role: if row.seed {
            wire::Role::Seed
        } else {
            wire::Role::Node
        },
        alive: row.session.is_some(),
        last_seen_ms: last_renewed.map_or(row.last_seen_ms, |renewed| renewed.max(row.last_seen_ms)),
    })
}

fn chosen<'a>(rows: &'a [peers::Model], wanted: &str) -> Result<&'a peers::Model, ExplainError> {
    if rows.is_empty() {
        return Err(ExplainError::NoPeers);
    }
    let named =
        |is_it: &dyn Fn(&peers::Model) -> bool| rows.iter().filter(|row| is_it(row)).collect::<Vec<_>>();
    let ways: [&dyn Fn(&peers::Model) -> bool; 3] =
        [&|row| row.id == wanted, &|row| row.name == wanted, &|row| {
            !wanted.is_empty() && (row.name.starts_with(wanted) || row.id.starts_with(wanted))
        }];
    for way in ways {
        match only(&named(way)) {
            Ok(None) => {}
            Ok(Some(row)) => return Ok(row),
            Err(found) => {
                let wanted = repeated(wanted);
                return Err(ExplainError::AmbiguousNode { wanted, found });
            }
        }
    }
    Err(ExplainError::UnknownNode {
        wanted: repeated(wanted),
        near: nearest(rows, wanted),
    })
}

/// A peer that was installed anew leaves a row with its old id under the same name: the connected one is chosen.
fn only<'a>(found: &[&'a peers::Model]) -> Result<Option<&'a peers::Model>, Vec<String>> {
    let alive: Vec<&&peers::Model> = found.iter().filter(|row| row.session.is_some()).collect();
    match (found, alive.as_slice()) {
        ([], _) => Ok(None),
        ([row], _) => Ok(Some(row)),
        (_, [row]) => Ok(Some(row)),
        _ => Err(found
            .iter()
            .take(LISTED)
            .map(|row| format!("{} {}", row.name, row.id))
            .collect()),
    }
}

fn nearest(rows: &[peers::Model], wanted: &str) -> Vec<String> {
    let wanted = repeated(wanted);
    let mut names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    names.dedup();
    names.sort_by_key(|name| steps_between(&wanted, name));
    names.into_iter().take(LISTED).map(str::to_owned).collect()
}

fn repeated(text: &str) -> String {
    text.chars().take(REPEATED).collect()
}

/// The number of letters to insert, remove or replace.
fn steps_between(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut left = line + 1;
        let mut next = vec![left];
        for ((other, above_left), above) in to.iter().zip(&row).zip(row.iter().skip(1)) {
            left = (above_left + usize::from(letter != *other))
                .min(above + 1)
                .min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str, id: u128, alive: bool) -> peers::Model {
        peers::Model {
            id: uuid::Uuid::from_u128(id).to_string(),
            name: name.to_owned(),
            cluster_id: 1,
            seed: false,
            share_url: String::new(),
            address: String::new(),
            seen_ip: None,
            software: String::new(),
            token_id: None,
            session: alive.then(String::new),
            last_seen_ms: 0,
            absent_since_ms: None,
        }
    }

    fn name(rows: &[peers::Model], wanted: &str) -> String {
        chosen(rows, wanted).expect("a peer").name.clone()
    }

    #[test]
    fn a_name_an_id_or_the_beginning_of_one_is_enough() {
        let rows = [
            peer("edge-1", 1, true),
            peer("edge-10", 2, true),
            peer("hall", 3 << 120, true),
        ];
        assert_eq!(name(&rows, "edge-1"), "edge-1");
        assert_eq!(name(&rows, "ha"), "hall");
        assert_eq!(name(&rows, "03"), "hall");
        assert_eq!(name(&rows, &rows[1].id), "edge-10");
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_nearest() {
        let rows = [peer("edge-1", 1, true), peer("hall", 2, true)];
        for asked in ["egde-1", ""] {
            let Err(ExplainError::UnknownNode { wanted, near }) = chosen(&rows, asked) else {
                panic!("{asked:?} is a known node")
            };
            assert_eq!(wanted, asked);
            assert_eq!(near.len(), 2);
        }
        assert!(
            matches!(chosen(&rows, "egde-1"), Err(ExplainError::UnknownNode { near, .. }) if near == ["edge-1", "hall"])
        );
        assert!(matches!(chosen(&[], "x"), Err(ExplainError::NoPeers)));
    }

    #[test]
    fn of_two_peers_with_one_name_the_connected_one_is_chosen() {
        let rows = [peer("edge", 1, false), peer("edge", 2, true)];
        assert_eq!(chosen(&rows, "edge").expect("a peer").id, rows[1].id);
        let rows = [peer("edge-1", 1, true), peer("edge-2", 2, true)];
        let Err(ExplainError::AmbiguousNode { found, .. }) = chosen(&rows, "edge") else {
            panic!("one of two was chosen")
        };
        assert_eq!(found.len(), 2);
        assert!(found[0].contains(&rows[0].id), "{found:?}");
    }
}
