//! The callers' tokens as this process last read them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Another manager's revocation is seen here after this.
const KNOWN_FOR_MS: i64 = 2_000;

/// A token that is part of the path of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointView {
    pub id: String,
    pub expires_ms: Option<i64>,
    pub revoked_ms: Option<i64>,
}

/// What is asked about tokens at every call.
#[derive(Default)]
pub(crate) struct TokensRead {
    pub(crate) revoked_ms: HashMap<String, Option<i64>>,
    pub(crate) endpoints: HashMap<String, EndpointView>,
}

/// All tokens, read again when it is older than [`KNOWN_FOR_MS`].
#[derive(Default)]
pub(crate) struct KnownTokens(Mutex<Option<(i64, Arc<TokensRead>)>>);

impl KnownTokens {
    pub(crate) fn get(&self, now_ms: i64) -> Option<Arc<TokensRead>> {
        let known = self.0.lock();
        known
            .as_ref()
            .filter(|(at, _)| now_ms - at < KNOWN_FOR_MS)
            .map(|(_, tokens)| Arc::clone(tokens))
    }

    pub(crate) fn put(&self, known: Option<(i64, Arc<TokensRead>)>) {
        *self.0.lock() = known;
    }
}
