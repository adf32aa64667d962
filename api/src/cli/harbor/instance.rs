//! The provider instance: Harbor's entry for this manager. Creates or updates it, then lets Harbor ping the manager.

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use wire::SecretText;

use super::address::Endpoint;
use super::their_api::{HarborError, TheirApi, part};

const INSTANCES: &str = "/p2p/preheat/instances";

/// Harbor's driver that calls the manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Vendor {
    /// Harbor follows each job to its end.
    Dragonfly,
    /// Harbor only notifies: its "Success" does not mean that nodes have the image.
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

/// The instance to create or update.
pub(super) struct WantedInstance<'a> {
    pub(super) name: &'a str,
    pub(super) vendor: Vendor,
    pub(super) endpoint: &'a Endpoint,
    /// Sent as `Authorization: Bearer`. `None` if the token is in the endpoint's path.
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
        "Harbor has an instance {name:?} of vendor {vendor}, and the vendor cannot be changed: give another --name, or \
         delete the instance in Harbor (Administration, Distributions)"
    )]
    OtherVendor { name: String, vendor: String },
    #[error(
        "Harbor's instance {other:?} already has the endpoint {endpoint}, which must be unique: use --name {other}"
    )]
    SameEndpoint { other: String, endpoint: String },
    #[error(
        "Harbor did not store the instance as it was sent: {0}; check it in Administration, Distributions"
    )]
    NotStored(String),
    #[error(
        "Harbor cannot use {endpoint}: {reason}. The log of Harbor's core has the cause. Usual causes: Harbor's \
         containers cannot reach this address, Harbor does not trust the certificate \
         (--harbor-trusts-any-certificate), or the manager refused the token"
    )]
    Ping { endpoint: String, reason: String },
    #[error(transparent)]
    Harbor(#[from] HarborError),
}

/// Creates or updates the instance, and reads it back.
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
        None => create(harbor, wanted, &body).await?,
    }
    let instance: Instance = harbor.get(&path).await?;
    check_stored(wanted, &instance).map_err(InstanceError::NotStored)?;
    Ok(instance)
}

/// Harbor answers a second instance with the same endpoint with 500 and no reason, so this looks for the first one.
async fn create(harbor: &TheirApi, wanted: &WantedInstance<'_>, body: &Value) -> Result<(), InstanceError> {
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

/// Compares the instance that Harbor stored with the one that was sent.
fn check_stored(wanted: &WantedInstance<'_>, instance: &Instance) -> Result<(), String> {
    let pairs = [
        ("endpoint", wanted.endpoint.as_str(), instance.endpoint.as_str()),
        ("auth_mode", auth_mode(wanted), instance.auth_mode.as_str()),
    ];
    for (what, sent, has) in pairs {
        if sent != has {
            return Err(format!("{what} differs"));
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
        Err(HarborError::Refused { reason, .. }) => Err(InstanceError::Ping {
            endpoint: shown(&instance.endpoint),
            reason,
        }),
        Err(error) => Err(error.into()),
    }
}

/// Hides the token in an endpoint.
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
