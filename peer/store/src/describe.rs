//! What is known of an object beside its bytes, when it becomes known after the object.

use std::io;

use oci::Digest;
use wire::ObjectKind;

use super::blocking::off_thread;
use super::chunks::{self, About};
use super::handle::Store;
use super::layout::write_durably;

impl Store {
    /// Keeps with a sealed object what its bytes cannot tell. Nothing happens when it is not here.
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
