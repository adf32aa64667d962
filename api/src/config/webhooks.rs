//! `[webhook."name"]`: who is told of preheats. The secret stands in a file of its own.

use preheat::{Webhook, WebhookEvent};
use process::config::Faults;
use wire::SecretText;

use super::section::Section;
use super::web_address;

/// A shorter one could be guessed from one call.
const SHORTEST_SECRET: usize = 16;

pub(super) fn read(top: &mut Section, faults: &mut Faults) -> Vec<Webhook> {
    let sections = top.named_tables("webhook", faults);
    sections
        .into_iter()
        .filter_map(|(name, section)| one(name, section, faults))
        .collect()
}

fn one(name: String, mut section: Section, faults: &mut Faults) -> Option<Webhook> {
    let url = address(&mut section, faults);
    let secret = secret(&mut section, faults);
    let events: Vec<WebhookEvent> = section.list("events", faults);
    section.end(faults);
    Some(Webhook {
        name,
        url: url?,
        secret: secret?,
        events,
    })
}

fn address(section: &mut Section, faults: &mut Faults) -> Option<SecretText> {
    let key = section.full("url");
    let Some(text) = section.text("url", faults) else {
        faults.add(
            &key,
            "is needed: where to call, for example https://ci.example.com/hook",
        );
        return None;
    };
    let Ok(url) = web_address(&text, "https://ci.example.com/hook") else {
        // The address itself may hold a secret: it is not repeated.
        let fault = "is no http or https URL; write for example https://ci.example.com/hook";
        faults.add(&key, fault);
        return None;
    };
    Some(SecretText::new(url.as_str()))
}

fn secret(section: &mut Section, faults: &mut Faults) -> Option<SecretText> {
    let key = section.full("secret_file");
    let Some(path) = section.text("secret_file", faults) else {
        faults.add(&key, "is needed: a file with the secret that signs each call");
        return None;
    };
    let read = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"));
    let text = faults.check(&key, read)?;
    let secret = text.trim();
    if secret.len() < SHORTEST_SECRET {
        let few = format!("{path} holds fewer than {SHORTEST_SECRET} letters; write a longer secret");
        faults.add(&key, few);
        return None;
    }
    Some(SecretText::new(secret))
}
