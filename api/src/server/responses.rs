//! The problems that a route may answer with, as the description of the API lists them.

use utoipa::IntoResponses;

use crate::server::problem::Problem;

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; nobody makes one")]
pub(crate) enum WrongToken {
    /// The token that was sent is no good.
    #[response(status = 401, content_type = "application/problem+json")]
    Wrong(Problem),
}

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; nobody makes one")]
pub(crate) enum Refusals {
    /// No good token came with the request.
    #[response(status = 401, content_type = "application/problem+json")]
    SignIn(Problem),
    /// The token lacks the scope that the problem names.
    #[response(status = 403, content_type = "application/problem+json")]
    Scope(Problem),
}

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; nobody makes one")]
pub(crate) enum BadBody {
    /// The body is not JSON.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// The body is larger than 256 KiB.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The content type is not JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    MediaType(Problem),
    /// Understood, and not possible: the problem names the field and what to write.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
}

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; nobody makes one")]
pub(crate) enum BadQuery {
    /// The query cannot be read.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// A value is out of its range.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
}

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; nobody makes one")]
pub(crate) enum Unknown {
    /// There is no such thing.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
}

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; nobody makes one")]
pub(crate) enum Conflicts {
    /// Not as things stand: the problem says how they stand.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
}

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; nobody makes one")]
pub(crate) enum Trouble {
    /// The manager failed; its log has the cause under the problem's trace id.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// Too much to do: try again in a second.
    #[response(status = 503, content_type = "application/problem+json")]
    Busy(Problem),
}
