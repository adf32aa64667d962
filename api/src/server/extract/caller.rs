//! The caller of a request, and what it may do.
//!
//! **Invariant:** a handler that takes [`Allowed`] is never entered by a caller without that scope.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::authorization::{Shown, shown};
use crate::server::app::{App, Caller, Standing};
use crate::server::problem::Problem;
use crate::server::tokens::Scope;

/// The scope that a handler requires, as a type in its signature.
pub(crate) trait Need {
    const SCOPE: Scope;
}

pub(crate) struct ToPreheat;
pub(crate) struct ToRead;
pub(crate) struct ToAdminister;

impl Need for ToPreheat {
    const SCOPE: Scope = Scope::Preheat;
}

impl Need for ToRead {
    const SCOPE: Scope = Scope::Read;
}

impl Need for ToAdminister {
    const SCOPE: Scope = Scope::Admin;
}

/// A caller with the required scope.
pub(crate) struct Allowed<N> {
    pub(crate) caller: Caller,
    need: PhantomData<N>,
}

impl<N: Need> FromRequestParts<App> for Allowed<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match standing(parts, app).await? {
            Standing::Good(caller) if caller.may(N::SCOPE) => Ok(Self {
                caller,
                need: PhantomData,
            }),
            Standing::Good(_) => Err(Problem::scope(N::SCOPE)),
            Standing::Former { .. } => Err(Problem::sign_in()),
        }
    }
}

/// Any caller, unless it sends a wrong token: so Harbor's "Test connection" tests the token too.
pub(crate) struct Presented;

impl FromRequestParts<App> for Presented {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if shown(parts) == Shown::Nothing {
            return Ok(Self);
        }
        match standing(parts, app).await? {
            Standing::Good(_) => Ok(Self),
            Standing::Former { .. } => Err(Problem::sign_in()),
        }
    }
}

/// A caller that polls a preheat: a reader, or the token that created the preheat. The latter may also poll for a
/// while after it has expired or was revoked, because running jobs of Harbor keep the old token and fail on a single
/// 401.
pub(crate) enum Poller {
    Reader,
    /// A good token without scope `read`.
    Maker(String),
    /// An ended token.
    Former(String),
}

impl Poller {
    /// Whether the caller may see a preheat that `created_by` created; `None` for one that does not exist.
    pub(crate) fn may_see(&self, created_by: Option<&str>) -> Result<(), Problem> {
        match self {
            Self::Reader => Ok(()),
            Self::Maker(token) | Self::Former(token) if created_by == Some(token) => Ok(()),
            Self::Maker(_) => Err(Problem::scope(Scope::Read)),
            Self::Former(_) => Err(Problem::sign_in()),
        }
    }
}

impl FromRequestParts<App> for Poller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match standing(parts, app).await? {
            Standing::Good(caller) if caller.may(Scope::Read) => Ok(Self::Reader),
            Standing::Good(caller) => match caller.token {
                Some(token) if caller.scopes.allow(Scope::Preheat) => Ok(Self::Maker(token)),
                _ => Err(Problem::scope(Scope::Read)),
            },
            Standing::Former { token } => Ok(Self::Former(token)),
        }
    }
}

/// Whether the request holds something as a token, valid or not.
pub(crate) fn shows_token(parts: &Parts) -> bool {
    shown(parts) != Shown::Nothing
}

async fn standing(parts: &Parts, app: &App) -> Result<Standing, Problem> {
    match shown(parts) {
        Shown::Token(token) => app.standing_of(&token).await,
        Shown::Endpoint(token) => app.standing_of_endpoint(&token).await,
        Shown::FieldName => Err(Problem::field_name()),
        Shown::Nothing => app.standing_of_nobody().ok_or_else(Problem::sign_in),
        Shown::Unusable => Err(Problem::sign_in()),
    }
}
