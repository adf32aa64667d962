//! The provider instance: Harbor's entry for this manager. Made or brought up to date, then pinged by Harbor.

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use wire::SecretText;

use super::address::Endpoint;
use super::their_api::{HarborError, TheirApi, part};

const INSTANCES: &str = "/p2p/preheat/instances";

/// Which of Harbor's two drivers speaks to the manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Vendor {
    /// Harbor follows each job to its end.
    Dragonfly,
    /// Harbor only notifies; its "Success" then says nothing about the nodes.
    Kraken,
}

impl Vendor {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Dragonfly => "dragonfly",
            Self::Kraken => "kraken",
        }
    }
}

/// What the instance has to be.
pub(super) struct WantedInstance<'a> {
    pub(super) name: &'a str,
    pub(super) vendor: Vendor,
    pub(super) endpoint: &'a Endpoint,
    /// Sent as `Authorization: Bearer`; none where the endpoint's path holds it.
    pub(super) token: Option<&'a SecretText>,
    /// Let Harbor skip verification of the manager's certificate.
    pub(super) insecure: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Instance {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) vendor: String,
    pub(super) endpoint: String,
    #[serde(default)]
    pub(super) auth_mode: String,
    #[serde(default)]
    pub(super) enabled: bool,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum InstanceError {
    #[error(
        "Harbor has an instance {name:?} of vendor {vendor}, which cannot be changed: give another --name, or delete \
         it in Harbor (Administration, Distributions)"
    )]
    OtherVendor { name: String, vendor: String },
    #[error(
        "Harbor's instance {other:?} has the endpoint {endpoint} already, and Harbor takes each once: use --name {other}"
    )]
    SameEndpoint { other: String, endpoint: String },
    #[error(
        "Harbor did not keep the instance as it was sent: {0}. Look at it in Administration, Distributions"
    )]
    NotKept(String),
    #[error(
        "Harbor cannot use {endpoint} ({said}). It hides the reason; its core log has it. Most often: Harbor's \
         containers do not reach this address, the certificate is not trusted (--harbor-trusts-any-certificate), or \
         the manager did not take the token"
    )]
    Ping { endpoint: String, said: String },
    #[error(transparent)]
    Harbor(#[from] HarborError),
}

/// Makes the instance, or brings the one of that name up to date, and reads it back.
pub(super) async fn ensure(
    harbor: &TheirApi,
    wanted: &WantedInstance<'_>,
) -> Result<Instance, InstanceError> {
    let path = format!("{INSTANCES}/{}", part(wanted.name));
    let before: Option<Instance> = harbor.find(&path).await?;
    let body = body(wanted);
    match &before {
        Some(instance) if instance.vendor != wanted.vendor.word() => {
            return Err(InstanceError::OtherVendor {
                name: instance.name.clone(),
                vendor: instance.vendor.clone(),
            });
        }
        Some(_) => harbor.put(&path, &body).await?,
        None => make(harbor, wanted, &body).await?,
    }
    let instance: Instance = harbor.get(&path).await?;
    kept(wanted, &instance).map_err(InstanceError::NotKept)?;
    Ok(instance)
}

/// A second instance with the same endpoint is answered with 500 and no word why.
async fn make(harbor: &TheirApi, wanted: &WantedInstance<'_>, body: &Value) -> Result<(), InstanceError> {
    let Err(error) = harbor.post(INSTANCES, body).await else {
        return Ok(());
    };
    let may_be_taken = matches!(
        error.status(),
        Some(StatusCode::CONFLICT | StatusCode::INTERNAL_SERVER_ERROR)
    );
    if may_be_taken {
        let all: Vec<Instance> = harbor.get(&format!("{INSTANCES}?page_size=100")).await?;
        let same = |instance: &&Instance| instance.endpoint == wanted.endpoint.as_str();
        if let Some(other) = all.iter().find(same) {
            return Err(InstanceError::SameEndpoint {
                other: other.name.clone(),
                endpoint: other.endpoint.clone(),
            });
        }
    }
    Err(error.into())
}

fn body(wanted: &WantedInstance<'_>) -> Value {
    let mut body = json!({
        "name": wanted.name,
        "description": "Stoker",
        "vendor": wanted.vendor.word(),
        "endpoint": wanted.endpoint.as_str(),
        "auth_mode": auth_mode(wanted),
        "enabled": true,
        "insecure": wanted.insecure,
    });
    if let (Some(token), Some(fields)) = (wanted.token, body.as_object_mut()) {
        fields.insert("auth_info".to_owned(), json!({ "token": token.expose() }));
    }
    body
}

fn auth_mode(wanted: &WantedInstance<'_>) -> &'static str {
    if wanted.token.is_some() { "OAUTH" } else { "NONE" }
}

/// What is wrong with the instance as Harbor has it now.
fn kept(wanted: &WantedInstance<'_>, instance: &Instance) -> Result<(), String> {
    let pairs = [
        ("endpoint", wanted.endpoint.as_str(), instance.endpoint.as_str()),
        ("auth_mode", auth_mode(wanted), instance.auth_mode.as_str()),
    ];
    for (what, sent, has) in pairs {
        if sent != has {
            return Err(format!("{what} is not what was sent"));
        }
    }
    if instance.enabled {
        Ok(())
    } else {
        Err("it is disabled".to_owned())
    }
}

/// Makes Harbor ping the manager, as it does before each job.
pub(super) async fn ping(harbor: &TheirApi, instance: &Instance) -> Result<(), InstanceError> {
    let body = json!({ "id": instance.id, "name": instance.name });
    match harbor.post(&format!("{INSTANCES}/ping"), &body).await {
        Ok(_) => Ok(()),
        Err(HarborError::Refused { said, .. }) => Err(InstanceError::Ping {
            endpoint: shown(&instance.endpoint),
            said,
        }),
        Err(error) => Err(error.into()),
    }
}

/// An endpoint without the token in it.
pub(super) fn shown(endpoint: &str) -> String {
    match endpoint.split_once("/t/") {
        Some((before, _)) => format!("{before}/t/…"),
        None => endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_the_path_is_not_shown() {
        assert_eq!(shown("http://m:8080/t/abc"), "http://m:8080/t/…");
        assert_eq!(shown("http://m:8080"), "http://m:8080");
    }
}
