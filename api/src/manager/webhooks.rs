//! Sends webhooks to their receivers.

use futures_util::future::BoxFuture;
use preheat::{SendWebhook, WebhookCall};

/// Follows no redirect: only the configured receiver may receive the body.
pub(crate) struct WebhookSender(reqwest::Client);

impl WebhookSender {
    pub(crate) fn new() -> Result<Self, process::http::ClientError> {
        process::http::client(&process::http::ClientOptions::default()).map(Self)
    }
}

impl SendWebhook for WebhookSender {
    fn send<'a>(&'a self, call: &'a WebhookCall) -> BoxFuture<'a, Result<u16, String>> {
        let request = self.0.post(call.url.expose());
        let request = call
            .headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, value));
        let answer = request.body(call.body.clone()).send();
        Box::pin(async move {
            match answer.await {
                Ok(answer) => Ok(answer.status().as_u16()),
                Err(error) => Err(why(&error)),
            }
        })
    }
}

/// Returns the cause without the URL, which may hold a secret.
fn why(error: &reqwest::Error) -> String {
    let what = match (error.is_connect(), error.is_timeout()) {
        (true, _) => "the receiver cannot be reached",
        (_, true) => "the receiver did not answer in time",
        _ => "the connection broke",
    };
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if std::ptr::addr_eq(std::ptr::from_ref(cause), std::ptr::from_ref(error)) {
        return what.to_owned();
    }
    format!("{what}: {cause}")
}
