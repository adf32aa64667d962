//! Asks the registry for a list (tags, referrers) with the caller's own credential.
//!
//! **Invariant:** a list is the registry's present answer to this caller, or an error. Nothing is kept, and no failure
//! becomes an empty list or a 404: clients would conclude that an image has no signature.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use oci::{ForwardedObject, FromElsewhere, RequestedList};
use tokio::time::timeout;
use wire::{ObjectKind, Side};

use super::caller::Caller;
use super::decision::GrantAge;
use super::questions::{NotGathered, QuestionOutcome, gather, patience};
use super::refusal::Refusal;
use super::state::Access;

const BODY_LIMIT: Duration = Duration::from_secs(30);

/// The registry's response, passed on as it is.
pub(crate) struct ListAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Access {
    /// `query` is encoded and may be empty.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        list: RequestedList,
        query: String,
    ) -> Result<ListAnswer, Refusal> {
        let what = list.to_string();
        let kind = ForwardedObject::List { list, query };
        let question = caller.question(Method::GET, kind, Vec::new(), self.limit(caller, GrantAge::None));
        match self.ask_raw(caller, question, patience(false)).await {
            QuestionOutcome::Answered(response) if is_passed(&response) => {
                read(response).await.map_err(|why| unusable(caller, &what, why))
            }
            QuestionOutcome::Answered(response) => {
                let answer = self.read_answer(caller, response).await;
                Err(self.refusal(caller, ObjectKind::Manifest, &answer))
            }
            QuestionOutcome::Failed(failure) => Err(Refusal::Failed(failure)),
            QuestionOutcome::Unreachable => Err(Refusal::unreachable(format!(
                "registry {} is unreachable, and only it has the {what}: try again when it is back",
                caller.location().registry()
            ))),
        }
    }
}

/// Returns whether the response goes to the caller as it is. A redirect's target speaks for the registry only with a
/// list.
fn is_passed(response: &reqwest::Response) -> bool {
    let status = response.status();
    let is_refusal = matches!(status.as_u16(), 400 | 403 | 404 | 405 | 406 | 410 | 416 | 501);
    let is_its_own = response.extensions().get::<FromElsewhere>().is_none();
    status == StatusCode::OK || (is_refusal && is_its_own)
}

async fn read(response: reqwest::Response) -> Result<ListAnswer, &'static str> {
    let (status, headers) = (response.status(), response.headers().clone());
    let body = timeout(BODY_LIMIT, gather(response)).await;
    let body = body.map_err(|_| "took too long")?.map_err(|why| match why {
        NotGathered::CutOff => "was cut off",
        NotGathered::TooLong => "is longer than 4 MiB; ask for pages with n=",
    })?;
    Ok(ListAnswer {
        status,
        headers,
        body,
    })
}

fn unusable(caller: &Caller, what: &str, why: &str) -> Refusal {
    let (registry, repository) = (caller.location().registry(), &caller.location().repository);
    let text = format!("the {what} of {repository} from registry {registry} {why}");
    Refusal::bad_gateway(Side::Registry, "UNAVAILABLE", text)
}
