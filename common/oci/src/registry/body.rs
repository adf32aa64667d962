//! Reads whole bodies, bounded in size and time.

use bytes::{Bytes, BytesMut};
use http::header;
use tokio::time::Instant;

use super::client::Registry;
use super::headers::number;
use super::response::RegistryResponse;
use crate::connect_fault::innermost;
use crate::{RegistryError, RequestedObject};

impl Registry {
    /// Reads a whole body of at most `limit` bytes.
    pub(super) async fn read_whole(
        &self,
        requested: &RequestedObject,
        mut answer: RegistryResponse,
        limit: usize,
    ) -> Result<Bytes, RegistryError> {
        let read = self.read_to_the_end(requested, &mut answer, limit).await;
        read.inspect_err(|error| answer.failed(error))
    }

    async fn read_to_the_end(
        &self,
        requested: &RequestedObject,
        answer: &mut RegistryResponse,
        limit: usize,
    ) -> Result<Bytes, RegistryError> {
        let too_large = || RegistryError::TooLarge {
            requested: requested.clone(),
            limit,
        };
        let announced = number(answer.headers(), &header::CONTENT_LENGTH);
        if announced.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit)) {
            return Err(too_large());
        }
        let wait = self.inner.limits.document_wait;
        let deadline = Instant::now() + wait;
        let mut bytes = BytesMut::new();
        loop {
            let until = deadline.min(Instant::now() + self.inner.limits.chunk_wait);
            let chunk = tokio::time::timeout_at(until, answer.chunk())
                .await
                .map_err(|_| RegistryError::TimedOut {
                    requested: requested.clone(),
                    awaited: "end of the body",
                    limit: wait,
                })?;
            match chunk.map_err(|cause| cut_short(requested, bytes.len() as u64, &cause))? {
                Some(chunk) if bytes.len() + chunk.len() > limit => return Err(too_large()),
                Some(chunk) => bytes.extend_from_slice(&chunk),
                None => return Ok(bytes.freeze()),
            }
        }
    }
}

pub(super) fn cut_short(requested: &RequestedObject, received: u64, cause: &reqwest::Error) -> RegistryError {
    RegistryError::CutShort {
        requested: requested.clone(),
        received,
        cause: innermost(cause),
    }
}
