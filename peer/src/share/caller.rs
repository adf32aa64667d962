//! Who may ask: peers with a token of our manager, checked offline.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use wire::{PeerClaims, SHARE_AUDIENCE};

use crate::neighbours::Surroundings;

pub(crate) async fn only_peers(
    State(around): State<Arc<dyn Surroundings>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(key) = around.share_key() else {
        // Not refused for good: this peer has not called in at the manager yet.
        return (StatusCode::UNAUTHORIZED, "this peer cannot check tokens yet").into_response();
    };
    if is_peer(request.headers(), &key) {
        next.run(request).await
    } else {
        let text = "share answers only to peers of the same manager: send a valid peer token";
        (StatusCode::UNAUTHORIZED, text).into_response()
    }
}

fn is_peer(headers: &HeaderMap, key: &[u8; 32]) -> bool {
    let token = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    token.is_some_and(|token| is_valid(token, key))
}

fn is_valid(token: &str, key: &[u8; 32]) -> bool {
    let Ok(key) = DecodingKey::from_ed_components(&URL_SAFE_NO_PAD.encode(key)) else {
        return false;
    };
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[SHARE_AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "aud", "sub"]);
    decode::<PeerClaims>(token, &key, &validation).is_ok()
}
