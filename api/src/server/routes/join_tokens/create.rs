//! `POST /api/v1/join-tokens`: the one answer that holds a join token.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use wire::{ClusterName, Role};

use crate::server::app::App;
use crate::server::extract::{Allowed, Body, ToAdminister};
use crate::server::problem::{Kind, Problem};
use crate::server::responses::{BadBody, Conflicts, Refusals, Trouble};
use crate::server::tokens::{JoinWish, Lifetime, NoJoinToken, create_join_token};
use crate::types::{CreateJoinToken, NewJoinToken, Timestamp};

/// Default number of joins in a minute.
const PER_MINUTE: u32 = 600;
const SEVEN_DAYS: &str = "7d";

#[utoipa::path(
    post, path = "/api/v1/join-tokens", tag = "peers", operation_id = "create_join_token",
    summary = "Create a join token",
    request_body = CreateJoinToken,
    responses((status = 201, description = "The token; it is shown only in this response", body = NewJoinToken), BadBody, Conflicts, Refusals, Trouble),
)]
pub(crate) async fn create(
    State(app): State<App>,
    _: Allowed<ToAdminister>,
    Body(body): Body<CreateJoinToken>,
) -> Result<impl IntoResponse, Problem> {
    let wish = body.parse()?;
    let (scope, cluster) = (wish.role, wish.cluster.clone());
    let ca = app.authority().fingerprint();
    let made = create_join_token(app.preheater(), ca, wish, app.now_ms()).await;
    let (token, expires_ms) = made.map_err(not_created)?;
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Json(NewJoinToken {
            token: token.text(),
            id: token.id,
            scope,
            cluster,
            expires_at: Timestamp::from_ms(expires_ms),
            peer_port: app.peer_port(),
        }),
    ))
}

impl CreateJoinToken {
    fn parse(self) -> Result<JoinWish, Problem> {
        let role = Role::from_word(&self.scope).ok_or_else(|| {
            Problem::invalid("`scope` is neither \"seed\" nor \"node\": write one of them.")
        })?;
        let cluster = self.cluster.as_deref().map(str::parse::<ClusterName>).transpose();
        let cluster = cluster.map_err(|fault| Problem::invalid(format!("`cluster`: {fault}.")))?;
        let lifetime = self.expires.as_deref().unwrap_or(SEVEN_DAYS).parse::<Lifetime>();
        let lifetime = lifetime.map_err(|fault| Problem::invalid(format!("`expires`: {fault}.")))?;
        let joins = match (self.peer, self.joins, role) {
            (Some(_), None | Some(1), _) | (None, None, Role::Seed) => Some(1),
            (Some(_), Some(_), _) => {
                return Err(Problem::invalid(
                    "`joins`: a token for one peer is good for 1 join.",
                ));
            }
            (None, joins, _) => joins.filter(|joins| *joins > 0),
        };
        let per_minute = self.per_minute.unwrap_or(PER_MINUTE);
        if per_minute == 0 {
            return Err(Problem::invalid(
                "`per_minute` is 0: nobody could join; write 1 or more.",
            ));
        }
        Ok(JoinWish {
            role,
            cluster: cluster.unwrap_or_default(),
            joins,
            per_minute,
            lifetime,
            peer: self.peer,
        })
    }
}

fn not_created(fault: NoJoinToken) -> Problem {
    match fault {
        NoJoinToken::Refused(_) => Problem::new(Kind::Conflict, format!("{fault}.")),
        NoJoinToken::Storage(cause) => Problem::storage(&cause),
        NoJoinToken::NoRandomness => Problem::internal(&fault),
    }
}
