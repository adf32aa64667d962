//! The admin key: required for every change over the admin port, in a private file that is created on first use.

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use crate::files;

const FILE: &str = "admin.key";

/// `admin.key` of a data folder, 64 hexadecimal digits.
#[derive(Clone)]
pub struct AdminKey(Arc<str>);

impl AdminKey {
    /// Reads the key of this data folder, or creates it.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let bytes = files::private_file(&data_dir.join(FILE), || {
            let mut random = [0; 32];
            // Fails only if the operating system has no randomness; an empty key is never accepted.
            match aws_lc_rs::rand::fill(&mut random) {
                Ok(()) => hex::encode(random).into_bytes(),
                Err(_) => Vec::new(),
            }
        })?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(Self(text.trim().into()))
    }

    /// Returns the `Authorization` header value that carries the key.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }

    pub(super) fn guard(self, router: Router) -> Router {
        router.route_layer(from_fn_with_state(self, only_with_the_key))
    }

    fn opens(&self, authorization: &[u8]) -> bool {
        let given = authorization.strip_prefix(b"Bearer ").unwrap_or_default();
        !self.0.is_empty()
            && aws_lc_rs::constant_time::verify_slices_are_equal(given, self.0.as_bytes()).is_ok()
    }
}

async fn only_with_the_key(State(key): State<AdminKey>, request: Request, next: Next) -> Response {
    let authorization = request.headers().get(header::AUTHORIZATION);
    if authorization.is_some_and(|value| key.opens(value.as_bytes())) {
        return next.run(request).await;
    }
    let text = "admin key required: send -H \"Authorization: Bearer $(cat DATA_DIR/admin.key)\"\n";
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, "Bearer")],
        text,
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_the_same_and_opens_only_for_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = AdminKey::open(folder.path()).expect("a key");
        let again = AdminKey::open(folder.path()).expect("the key");
        assert!(key.opens(again.authorization().as_bytes()));
        assert_eq!(key.authorization().len(), "Bearer ".len() + 64);
        for wrong in ["", "Bearer ", "Bearer 00", "Basic x"] {
            assert!(!key.opens(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn an_empty_key_file_opens_nothing() {
        assert!(!AdminKey("".into()).opens(b"Bearer "));
    }
}
