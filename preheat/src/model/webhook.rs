//! Webhooks: receivers of notices about preheats, their events, and the secret that signs.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use wire::SecretText;

/// The events that a notice reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookEvent {
    /// The image's objects are known, and the plan is written.
    Resolved,
    /// It succeeded, failed or was cancelled.
    Ended,
    /// A preheat that had ended is retried.
    Retried,
    /// A seed that settled placements of it was removed, because it sent wrong bytes.
    Doubted,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no event of a preheat: write resolved, ended, retried or doubted")]
pub struct BadEvent(String);

impl WebhookEvent {
    pub const ALL: [Self; 4] = [Self::Resolved, Self::Ended, Self::Retried, Self::Doubted];

    pub fn word(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::Ended => "ended",
            Self::Retried => "retried",
            Self::Doubted => "doubted",
        }
    }
}

impl std::str::FromStr for WebhookEvent {
    type Err = BadEvent;

    fn from_str(text: &str) -> Result<Self, BadEvent> {
        Self::ALL
            .into_iter()
            .find(|event| event.word() == text)
            .ok_or_else(|| BadEvent(text.chars().take(40).collect()))
    }
}

/// One receiver.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Names it in the configuration and in logs; its URL may hold a secret.
    pub name: String,
    pub url: SecretText,
    /// Signs its notices.
    pub secret: SecretText,
    /// Empty: everything.
    pub events: Vec<WebhookEvent>,
}

impl Webhook {
    pub(crate) fn wants(&self, event: WebhookEvent) -> bool {
        self.events.is_empty() || self.events.contains(&event)
    }
}

/// One call, ready to be sent.
#[derive(Debug, Clone)]
pub struct WebhookCall {
    pub url: SecretText,
    /// Names and values, the signature among them.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: String,
}

/// Sends calls: the caller of this crate has the HTTP client.
pub trait SendWebhook: Send + Sync {
    /// The status that came back, or why none did, without the URL.
    fn send<'a>(&'a self, call: &'a WebhookCall) -> BoxFuture<'a, Result<u16, String>>;
}

/// All receivers, and the sender of their notices.
#[derive(Clone, Default)]
pub struct Webhooks {
    pub receivers: Vec<Webhook>,
    pub sender: Option<Arc<dyn SendWebhook>>,
}

/// The longest that one call takes.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(15);
/// A notice that was not accepted for this long is dropped.
pub(crate) const NOTICE_LIMIT: Duration = Duration::from_secs(24 * 3_600);

/// The receivers of a preheat with their events, as its row stores them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WantedNotices(pub(crate) Vec<(String, Vec<WebhookEvent>)>);

impl Webhooks {
    /// Returns the receivers for a new preheat as JSON; none without receivers.
    pub(crate) fn tells(&self) -> Option<String> {
        if self.receivers.is_empty() {
            return None;
        }
        let wanted = |hook: &Webhook| {
            let events = WebhookEvent::ALL.into_iter();
            (
                hook.name.clone(),
                events.filter(|event| hook.wants(*event)).collect(),
            )
        };
        let tells = WantedNotices(self.receivers.iter().map(wanted).collect());
        serde_json::to_string(&tells).ok()
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Webhook> {
        self.receivers.iter().find(|hook| hook.name == name)
    }
}

impl WantedNotices {
    pub(crate) fn receivers_of(&self, event: WebhookEvent) -> Vec<&str> {
        let wants = self.0.iter().filter(|(_, events)| events.contains(&event));
        wants.map(|(name, _)| name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(name: &str, events: &[WebhookEvent]) -> Webhook {
        Webhook {
            name: name.to_owned(),
            url: SecretText::new("http://ci.lan/secret-path"),
            secret: SecretText::new("hush"),
            events: events.to_vec(),
        }
    }

    #[test]
    fn receivers_get_the_events_that_they_name_else_all() {
        let webhooks = Webhooks {
            receivers: vec![hook("all", &[]), hook("ends", &[WebhookEvent::Ended])],
            sender: None,
        };
        let tells = serde_json::from_str::<WantedNotices>(&webhooks.tells().unwrap()).unwrap();
        assert_eq!(tells.receivers_of(WebhookEvent::Ended), ["all", "ends"]);
        assert_eq!(tells.receivers_of(WebhookEvent::Resolved), ["all"]);
        assert_eq!(Webhooks::default().tells(), None);
    }

    #[test]
    fn neither_secret_nor_address_is_printed() {
        let printed = format!("{:?}", hook("ci", &[]));
        assert!(
            !printed.contains("hush") && !printed.contains("secret-path"),
            "{printed}"
        );
    }

    #[test]
    fn an_unknown_event_is_named() {
        let refused = "finished".parse::<WebhookEvent>();
        assert_eq!(refused, Err(BadEvent("finished".to_owned())));
        for event in WebhookEvent::ALL {
            assert_eq!(event.word().parse(), Ok(event));
        }
    }
}
