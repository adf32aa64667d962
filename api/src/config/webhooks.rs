//! `[webhook."name"]`: the receivers of notices. The secret is in its own file.

use preheat::{Webhook, WebhookEvent};
use settings::Section;
use wire::SecretText;

use super::web_address;

/// A shorter secret could be guessed from one signature.
const SHORTEST_SECRET: usize = 16;
const EXAMPLE: &str = "https://ci.example.com/hook";

pub(super) fn read(top: &Section<'_>) -> Vec<Webhook> {
    let sections = top.named_tables("webhook");
    sections
        .into_iter()
        .filter_map(|(name, section)| one(name, &section))
        .collect()
}

fn one(name: String, section: &Section<'_>) -> Option<Webhook> {
    let url = address(section);
    let secret = secret(section);
    let events: Vec<WebhookEvent> = section.list("events");
    Some(Webhook {
        name,
        url: url?,
        secret: secret?,
        events,
    })
}

/// The URL may hold a secret, so the fault does not repeat it.
fn address(section: &Section<'_>) -> Option<SecretText> {
    let text = section.secret("url");
    if !section.has("url") {
        section.incomplete(
            "url",
            format_args!("is needed: the URL of the receiver, for example {EXAMPLE}"),
        );
    }
    let url = web_address(&text?, EXAMPLE);
    let fault = format!("is not an http or https URL; write for example {EXAMPLE}");
    let url = section.check("url", url.map_err(|_| fault))?;
    Some(SecretText::new(url.as_str()))
}

fn secret(section: &Section<'_>) -> Option<SecretText> {
    let content = section.file_content("secret_file");
    if !section.has("secret_file") {
        section.incomplete(
            "secret_file",
            "is needed: a file with the secret that signs each notice",
        );
    }
    section.check("secret_file", long_enough(&content?))
}

/// Returns the secret without the white space around it.
pub(super) fn long_enough(content: &str) -> Result<SecretText, String> {
    let secret = content.trim();
    if secret.len() < SHORTEST_SECRET {
        return Err(format!(
            "the file holds fewer than {SHORTEST_SECRET} letters; write a longer secret"
        ));
    }
    Ok(SecretText::new(secret))
}
