//! An object that can be read: whole on this peer's disk, or on its way.

use std::io;
use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use super::{FetchError, Following};
use store::Sealed;

pub(crate) type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// An object that is here or on its way.
pub(crate) enum Object {
    Here(Sealed),
    Coming(Following, u64),
}

impl Object {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Here(sealed) => sealed.size,
            Self::Coming(_, size) => *size,
        }
    }

    /// The object for a reader of all of it, or of all that is left: the last chunk comes once the whole is proven.
    pub(crate) fn held_back(self) -> Self {
        match self {
            Self::Coming(following, size) => Self::Coming(following.held_back(), size),
            here @ Self::Here(_) => here,
        }
    }

    /// Has all of it fetched and waits until it is proven.
    pub(crate) async fn proven(&self) -> Result<(), FetchError> {
        match self {
            Self::Here(_) => Ok(()),
            Self::Coming(following, _) => following.all_proven().await,
        }
    }

    /// Reads the bytes of `range`. A failure on the way is an error of the stream, so that the transfer is cut short;
    /// an error of this call is the disk's.
    pub(crate) async fn read(&self, range: Range<u64>) -> io::Result<Pieces> {
        match self {
            Self::Here(sealed) => Ok(Box::pin(sealed.read(range).await?)),
            Self::Coming(following, _) => Ok(Box::pin(
                following.read(range).map(|piece| piece.map_err(io::Error::other)),
            )),
        }
    }
}
