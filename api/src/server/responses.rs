//! The problems that a route may answer with, as the description of the API lists them.

use utoipa::IntoResponses;

use crate::server::problem::Problem;

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; nobody makes one")]
pub(crate) enum WrongToken {
    /// The token is not valid.
    #[response(status = 401, content_type = "application/problem+json")]
    Wrong(Problem),
}

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; nobody makes one")]
pub(crate) enum Refusals {
    /// The request has no valid token.
    #[response(status = 401, content_type = "application/problem+json")]
    SignIn(Problem),
    /// The token does not have the scope that `detail` names.
    #[response(status = 403, content_type = "application/problem+json")]
    Scope(Problem),
}

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; nobody makes one")]
pub(crate) enum BadBody {
    /// The body is not JSON, or a label is invalid.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// The body is larger than 256 KiB.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The content type is not JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    MediaType(Problem),
    /// A value is invalid. `detail` names the field and what to write.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
}

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; nobody makes one")]
pub(crate) enum BadQuery {
    /// The query cannot be read.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// A value in the query is invalid.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
}

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; nobody makes one")]
pub(crate) enum Unknown {
    /// Not found.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
}

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; nobody makes one")]
pub(crate) enum Conflicts {
    /// The request conflicts with the current state; `detail` says how.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
}

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; nobody makes one")]
pub(crate) enum Trouble {
    /// The manager failed. Its log holds the cause under `trace_id`.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// The manager is busy: try again in a second.
    #[response(status = 503, content_type = "application/problem+json")]
    Busy(Problem),
}
