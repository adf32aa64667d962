//! An object that can be read: sealed, or being fetched.

use std::io;
use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use super::error::FetchError;
use super::following::Following;
use store::Sealed;

pub(crate) type ObjectStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// An object that is sealed here or being fetched.
pub(crate) enum ReadableObject {
    Sealed(Sealed),
    Fetching(Following, u64),
}

impl ReadableObject {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Sealed(sealed) => sealed.size,
            Self::Fetching(_, size) => *size,
        }
    }

    /// Returns the object for a reader of the whole or of its rest, who gets the last chunk once the whole is
    /// proven.
    pub(crate) fn held_back(self) -> Self {
        match self {
            Self::Fetching(following, size) => Self::Fetching(following.held_back(), size),
            sealed @ Self::Sealed(_) => sealed,
        }
    }

    /// Fetches the whole and waits until it is proven.
    pub(crate) async fn proven(&self) -> Result<(), FetchError> {
        match self {
            Self::Sealed(_) => Ok(()),
            Self::Fetching(following, _) => following.all_proven().await,
        }
    }

    /// Reads the bytes of `range`. A later failure is an error of the stream, which cuts the transfer off.
    /// An error of this call is a disk error.
    pub(crate) async fn read(&self, range: Range<u64>) -> io::Result<ObjectStream> {
        match self {
            Self::Sealed(sealed) => Ok(Box::pin(sealed.read(range).await?)),
            Self::Fetching(following, size) => Ok(Box::pin(
                following
                    .read_sized(range, *size)
                    .map(|bytes| bytes.map_err(io::Error::other)),
            )),
        }
    }
}
