//! The provider instance: Harbor's entry for this manager. Creates, updates and deletes it, and lets Harbor ping the
//! manager.

use serde::Deserialize;
use serde_json::{Value, json};
use wire::SecretText;

use super::address::Endpoint;
use super::their_api::{HarborError, TheirApi, part};

const INSTANCES: &str = "/p2p/preheat/instances";
const DESCRIPTION: &str = "Stoker";

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
    description: String,
    #[serde(default)]
    pub(super) auth_mode: String,
    #[serde(default)]
    pub(super) enabled: bool,
    #[serde(default)]
    default: bool,
    #[serde(default)]
    setup_timestamp: i64,
}

impl Instance {
    /// Whether `connect` or `import` created it, for this or another manager.
    pub(super) fn is_of_stoker(&self) -> bool {
        self.description == DESCRIPTION
    }

    /// Returns the instance as a line of output. `state` follows its sign-in.
    pub(super) fn line(&self, state: &str) -> String {
        let (name, endpoint) = (&self.name, shown(&self.endpoint));
        format!(
            "instance  {name} at {endpoint} ({}, {}{state})",
            self.vendor, self.auth_mode
        )
    }
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

impl InstanceError {
    /// Whether Harbor may have stored the instance although no response came.
    pub(super) fn may_be_stored(&self) -> bool {
        matches!(self, Self::Harbor(HarborError::Unreachable { .. }))
    }
}

/// Returns every instance of Harbor.
pub(super) async fn list(harbor: &TheirApi) -> Result<Vec<Instance>, HarborError> {
    harbor.pages(INSTANCES).await
}

pub(super) async fn find(harbor: &TheirApi, name: &str) -> Result<Option<Instance>, HarborError> {
    harbor.find(&path_of(name)).await
}

/// Deletes the instance. Harbor refuses this while a policy uses it.
pub(super) async fn delete(harbor: &TheirApi, name: &str) -> Result<(), HarborError> {
    harbor.delete(&path_of(name)).await
}

fn path_of(name: &str) -> String {
    format!("{INSTANCES}/{}", part(name))
}

/// Checks what Harbor refuses with 500 and no reason: another vendor, and an endpoint that another instance has.
pub(super) async fn check_before(
    harbor: &TheirApi,
    name: &str,
    vendor: Vendor,
    endpoint: &Endpoint,
    before: Option<&Instance>,
) -> Result<(), InstanceError> {
    if let Some(other) = before.filter(|instance| instance.vendor != vendor.word()) {
        return Err(InstanceError::OtherVendor {
            name: other.name.clone(),
            vendor: other.vendor.clone(),
        });
    }
    let all = list(harbor).await?;
    let same = |other: &&Instance| other.name != name && other.endpoint == endpoint.as_str();
    match all.iter().find(same) {
        Some(other) => Err(InstanceError::SameEndpoint {
            other: other.name.clone(),
            endpoint: other.endpoint.clone(),
        }),
        None => Ok(()),
    }
}

/// Creates or updates the instance. Before an update, Harbor pings the new endpoint.
pub(super) async fn store(
    harbor: &TheirApi,
    wanted: &WantedInstance<'_>,
    before: Option<&Instance>,
) -> Result<(), InstanceError> {
    let mut body = body(wanted);
    if let Some(before) = before {
        ping_as(harbor, wanted.endpoint.as_str(), &body).await?;
        // Harbor finds the instance by the id in the body, not by the name in the path.
        body["id"] = before.id.into();
        // Harbor writes every column, also those that the body leaves out.
        body["default"] = before.default.into();
        body["setup_timestamp"] = before.setup_timestamp.into();
        harbor.put(&path_of(wanted.name), &body).await?;
    } else {
        harbor.post(INSTANCES, &body).await?;
    }
    Ok(())
}

/// Returns the instance as Harbor stored it.
pub(super) async fn read_back(
    harbor: &TheirApi,
    wanted: &WantedInstance<'_>,
) -> Result<Instance, InstanceError> {
    let instance: Instance = harbor.get(&path_of(wanted.name)).await?;
    check_stored(wanted, &instance).map_err(InstanceError::NotStored)?;
    Ok(instance)
}

fn body(wanted: &WantedInstance<'_>) -> Value {
    let mut body = json!({
        "name": wanted.name,
        "description": DESCRIPTION,
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
    ping_as(harbor, &instance.endpoint, &body).await
}

/// The body names a stored instance by its id, or describes one that is not stored.
async fn ping_as(harbor: &TheirApi, endpoint: &str, body: &Value) -> Result<(), InstanceError> {
    match harbor.post(&format!("{INSTANCES}/ping"), body).await {
        Ok(_) => Ok(()),
        Err(HarborError::Refused { reason, .. }) => Err(InstanceError::Ping {
            endpoint: shown(endpoint),
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
