//! Registries that want to see each pull: a client's GET of a manifest is a GET there, even if we hold the manifest, so
//! that pull counts, retention and bars stay true. The answer's bytes are then the ones that are served.
//!
//! **Invariant:** one GET at the registry for one GET of a client. Only a silent registry is overruled by a kept yes, and
//! never where it had barred the image.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Method;
use oci::manifest::BYTES_LIMIT;
use oci::{Digest, QuestionKind, TagOrDigest};
use tokio::time::timeout;
use wire::{Authorize, ObjectKind};

use super::asking::{LIMIT_WITH_A_YES, LIMIT_WITHOUT};
use super::decision::{Kept, Said, Verdict, judge};
use super::refusal::Refusal;
use super::{Access, Answer, Granted, Told, Who};

/// How long a manifest may take from its headers to its end.
const BODY_LIMIT: Duration = Duration::from_secs(10);

/// A manifest that the caller may read, and its bytes if the registry has just sent them.
pub(crate) struct Meant {
    pub(crate) digest: Digest,
    pub(crate) granted: Granted,
    pub(crate) bytes: Option<Bytes>,
}

impl Meant {
    pub(crate) fn without_bytes(digest: Digest, granted: Granted) -> Self {
        Self {
            digest,
            granted,
            bytes: None,
        }
    }
}

impl Access {
    /// Whether a GET of a client has to be one at the registry.
    pub(crate) fn asks_for_each(&self, who: &Who) -> bool {
        let seen = || self.challenges.is_harbors(&who.location().origin);
        self.neighbours.authorize(who.location().registry(), seen) == Authorize::ManifestGet
    }

    /// May this caller read this manifest? A GET asks as the registry wants to be asked.
    pub(crate) async fn manifest_by_digest(
        &self,
        who: &Who,
        digest: &Digest,
        head_only: bool,
    ) -> Result<Meant, Refusal> {
        if !head_only && self.asks_for_each(who) {
            return self.get_at_registry(who, digest).await;
        }
        // A HEAD must not become a GET because the manifest is not here.
        let granted = if self.asks_for_each(who) && self.store.about(digest).is_none() {
            let kept = self.kept(who, digest, ObjectKind::Manifest).await;
            self.ask_and_judge(who, digest, ObjectKind::Manifest, kept)
                .await?
        } else {
            self.may_read(who, digest, ObjectKind::Manifest).await?
        };
        Ok(Meant::without_bytes(digest.clone(), granted))
    }

    async fn get_at_registry(&self, who: &Who, digest: &Digest) -> Result<Meant, Refusal> {
        let kind = QuestionKind::Manifest {
            wanted: TagOrDigest::Digest(digest.clone()),
        };
        let kept = self.kept(who, digest, ObjectKind::Manifest).await;
        let limit = if kept == Kept::None {
            LIMIT_WITHOUT
        } else {
            LIMIT_WITH_A_YES
        };
        let question = who.question(Method::GET, kind, Vec::new(), limit);
        let Some(response) = self.ask_raw(who, question).await else {
            return self.kept_manifest(who, digest, kept).await;
        };
        if !response.status().is_success() {
            let answer = self.read_answer(who, response).await;
            self.learn(who, digest, ObjectKind::Manifest, &answer).await;
            return Err(self.refusal(who, ObjectKind::Manifest, &answer));
        }
        let told = Told::from(response.headers());
        let bytes = timeout(BODY_LIMIT, gather(response)).await.ok().flatten();
        // What broke off, or is another's, is a yes all the same: the fetch that follows proves what it gets.
        let bytes = bytes.filter(|bytes| Digest::of(bytes) == *digest);
        self.given_out(who, digest);
        let granted = Granted {
            because: "registry's yes",
            told: Some(told),
        };
        Ok(Meant {
            digest: digest.clone(),
            granted,
            bytes,
        })
    }

    /// The registry's yes to a GET.
    pub(crate) fn given_out(&self, who: &Who, digest: &Digest) {
        self.lift_bar(who, digest);
        self.grant(who, digest, ObjectKind::Manifest);
    }

    /// The registry is silent.
    async fn kept_manifest(&self, who: &Who, digest: &Digest, kept: Kept) -> Result<Meant, Refusal> {
        if let Some(bar) = self.bar_of(who, digest) {
            return Err(Refusal::Barred(bar));
        }
        let because = if judge(Said::Silent, self.circumstances(who, kept)) == Verdict::Read {
            "kept while the registry is silent"
        } else if self.is_public(who, digest).await || self.public(who, digest) != Kept::None {
            "public"
        } else {
            return Err(self.refusal(who, ObjectKind::Manifest, &Answer::Silent));
        };
        Ok(Meant::without_bytes(digest.clone(), Granted::because(because)))
    }
}

/// A manifest's bytes, unless they are too many or break off.
pub(super) async fn gather(mut response: reqwest::Response) -> Option<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = response.chunk().await.ok()? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > BYTES_LIMIT {
            return None;
        }
    }
    Some(bytes.freeze())
}
