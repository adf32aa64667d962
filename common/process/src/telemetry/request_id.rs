//! `x-request-id`: the caller's if valid, otherwise a new one; returned in the response and recorded in the span.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use uuid::Uuid;

pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST: usize = 128;

pub(super) async fn give(mut request: Request, next: Next) -> Response {
    let id = request.headers().get(HEADER).filter(|id| is_sane(id)).cloned();
    let id = id.unwrap_or_else(new);
    request.headers_mut().insert(HEADER, id.clone());
    let mut response = next.run(request).await;
    response.headers_mut().insert(HEADER, id);
    response
}

/// Whether an id is safe for logs and the response: no spaces, quotes or control characters.
fn is_sane(id: &HeaderValue) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    (1..=LONGEST).contains(&id.len()) && id.as_bytes().iter().all(is_letter)
}

fn new() -> HeaderValue {
    let mut room = [0; 36];
    let text = Uuid::now_v7().hyphenated().encode_lower(&mut room);
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("none"))
}
