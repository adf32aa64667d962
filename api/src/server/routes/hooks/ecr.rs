//! Amazon ECR: the event "ECR Image Action" of `EventBridge`. An API destination posts it, with a token in a header.

use serde::Deserialize;

use super::field::{Field, ImageFields};
use super::message::{EventId, HookEvent, Message};
use crate::server::problem::Problem;

#[derive(Deserialize)]
struct EcrEvent {
    account: Option<String>,
    region: Option<String>,
    #[serde(default)]
    detail: EcrDetail,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct EcrDetail {
    result: Option<String>,
    repository_name: Option<String>,
    image_digest: Option<String>,
    action_type: Option<String>,
    image_tag: Option<String>,
}

pub(super) fn read(message: &Message<'_>) -> Result<HookEvent, Problem> {
    if message.word("detail-type") != "ECR Image Action" {
        return Ok(HookEvent::Nothing("not an \"ECR Image Action\""));
    }
    let event: EcrEvent = message.whole()?;
    let detail = &event.detail;
    if detail.action_type.as_deref() != Some("PUSH") || detail.result.as_deref() != Some("SUCCESS") {
        return Ok(HookEvent::Nothing("not a successful push"));
    }
    let host = host(
        Field::new("account", event.account.as_deref()),
        Field::new("region", event.region.as_deref()),
    )?;
    let image = ImageFields {
        host: Some(Field {
            name: "account",
            value: &host,
        }),
        plain_http: false,
        repository: Field::new("detail.repository-name", detail.repository_name.as_deref()),
        tag: Field::new("detail.image-tag", detail.image_tag.as_deref()),
        digest: Some(Field::new("detail.image-digest", detail.image_digest.as_deref())),
    };
    Ok(HookEvent::one(
        image.image(message.settings)?,
        EventId::given_or_body(message.word("id")),
    ))
}

/// A registry of ECR is named by its account and region.
fn host(account: Field<'_>, region: Field<'_>) -> Result<String, Problem> {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_region = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if !is_digits(account.needed()?) {
        return Err(account.invalid("write the digits of the account"));
    }
    if !is_region(region.needed()?) {
        return Err(region.invalid("write a region such as us-west-2"));
    }
    let domain = match region.value {
        china if china.starts_with("cn-") => "amazonaws.com.cn",
        _ => "amazonaws.com",
    };
    Ok(format!("{}.dkr.ecr.{}.{domain}", account.value, region.value))
}
