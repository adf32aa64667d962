//! Changes the description of an object after it was sealed.

use std::io;

use oci::Digest;
use wire::ObjectKind;

use super::blocking::off_thread;
use super::chunks::{self, About};
use super::handle::Store;
use super::layout::write_durably;

impl Store {
    /// Sets media type and kind of a sealed object. Does nothing when it is not here.
    pub async fn describe(
        &self,
        digest: &Digest,
        media_type: Option<String>,
        kind: ObjectKind,
    ) -> io::Result<()> {
        let Some(known) = self.about(digest) else {
            return Ok(());
        };
        let about = About {
            media_type,
            kind,
            size: known.size,
        };
        if about == known {
            return Ok(());
        }
        let (store, digest) = (self.clone(), digest.clone());
        off_thread(move || {
            let path = store.0.layout.sealed_chunks(&digest);
            let (_, hashes) = chunks::read_sidecar(&path)?;
            write_durably(&path, &chunks::sidecar(&about, &hashes)?)?;
            store.0.objects.describe(&digest, about);
            Ok(())
        })
        .await
    }
}
