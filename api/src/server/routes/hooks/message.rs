//! A webhook's message, and what it says.

use axum::http::HeaderMap;
use oci::ImageReference;
use preheat::Requester;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::call::HookCall;
use crate::server::extract::{from_json, from_part};
use crate::server::problem::Problem;
use crate::server::routes::pushed::delivery_of;
use crate::server::triggers::HookSettings;

/// A parsed message.
pub(super) struct Message<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) body: Value,
    pub(super) settings: &'a HookSettings,
}

/// What a message says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HookEvent {
    Pushes {
        images: Vec<ImageReference>,
        id: EventId,
    },
    /// Events in the form of distribution's notifications.
    Notifications(Vec<Value>),
    /// No push of an image, and why.
    Nothing(&'static str),
}

/// What tells a repeated message from the next push.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EventId {
    /// The id that the product gives.
    Given(String),
    /// The body has a time, so that the whole body is an id.
    Body,
    /// Two pushes of one tag have equal messages.
    None,
}

impl<'a> Message<'a> {
    pub(super) fn of(call: &'a HookCall) -> Result<Self, Problem> {
        Ok(Self {
            headers: &call.headers,
            body: from_json(&call.body)?,
            settings: &call.settings,
        })
    }

    /// Returns a header, or the empty text.
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }

    /// Returns the text of a field, or the empty text. It decides whether the message reports a push at all, so its type
    /// is no reason to refuse the message.
    pub(super) fn word(&self, field: &str) -> &str {
        self.body.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// Parses the whole body.
    pub(super) fn whole<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        from_part("", self.body.clone())
    }

    /// Parses one field.
    pub(super) fn part<T: DeserializeOwned>(&self, field: &str) -> Result<T, Problem> {
        from_part(field, self.body.get(field).cloned().unwrap_or_default())
    }
}

impl HookEvent {
    pub(super) fn one(image: ImageReference, id: EventId) -> Self {
        Self::Pushes {
            images: vec![image],
            id,
        }
    }
}

impl EventId {
    /// An empty id is none.
    pub(super) fn given_or_body(id: &str) -> Self {
        if id.is_empty() {
            Self::Body
        } else {
            Self::Given(id.to_owned())
        }
    }

    /// Names the push of one image. A message can push several images, and products may use the same ids.
    pub(super) fn delivery(&self, call: &HookCall, image: &ImageReference) -> Option<String> {
        let (kind, image) = (call.kind.word(), image.to_string());
        match self {
            Self::Given(id) => Some(delivery_of(Requester::Webhook, &[kind, "id", id, &image])),
            Self::Body => {
                let body = oci::Digest::of(&call.body);
                let parts = [kind, "body", body.as_str(), &image];
                Some(delivery_of(Requester::Webhook, &parts))
            }
            Self::None => None,
        }
    }
}
