//! Preheat policies of Harbor's projects: which images, when, to which peers, and by which instance.

use serde::Deserialize;
use serde_json::{Value, json};

use super::generation::{ScopePlace, Version};
use super::their_api::{HarborError, TheirApi, part};

/// When Harbor applies the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trigger {
    Manual,
    /// On each push, and when a scan or a label makes an image match.
    Push,
    /// Six fields, seconds first.
    Cron(String),
}

impl std::str::FromStr for Trigger {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "manual" => Ok(Self::Manual),
            "push" => Ok(Self::Push),
            cron if cron.split_whitespace().count() == 6 => Ok(Self::Cron(cron.to_owned())),
            _ => Err(
                "is not a trigger: write push, manual, or a schedule of six fields such as \"0 0 2 * * *\""
                    .to_owned(),
            ),
        }
    }
}

/// The policy to create or update.
pub(super) struct WantedPolicy<'a> {
    pub(super) project: &'a str,
    pub(super) name: &'a str,
    pub(super) repository: &'a str,
    pub(super) tag: &'a str,
    pub(super) trigger: &'a Trigger,
    pub(super) scope: Option<&'a str>,
    pub(super) clusters: &'a [i64],
}

#[derive(Debug, Deserialize)]
struct Project {
    project_id: i64,
    #[serde(default)]
    name: String,
}

/// A policy as Harbor stores it, with all its fields.
#[derive(Debug, Clone)]
pub(super) struct StoredPolicy {
    pub(super) project: String,
    pub(super) policy: Policy,
    /// What Harbor returned. An update sends all of it.
    whole: Value,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Policy {
    id: i64,
    pub(super) name: String,
    pub(super) provider_id: i64,
    #[serde(default)]
    pub(super) enabled: bool,
    #[serde(default)]
    filters: String,
    #[serde(default)]
    trigger: String,
}

impl StoredPolicy {
    fn read(project: &str, whole: Value) -> Option<Self> {
        Some(Self {
            project: project.to_owned(),
            policy: serde_json::from_value(whole.clone()).ok()?,
            whole,
        })
    }

    /// `library/nightly`
    pub(super) fn title(&self) -> String {
        format!("{}/{}", self.project, self.policy.name)
    }

    /// Returns `on push`, `manual`, or the schedule.
    pub(super) fn when(&self) -> String {
        let trigger: Value = serde_json::from_str(&self.policy.trigger).unwrap_or_default();
        match trigger["type"].as_str() {
            Some("event_based") => "on push".to_owned(),
            Some("scheduled") => {
                let cron = trigger["trigger_setting"]["cron"].as_str();
                format!("at {}", cron.unwrap_or_default())
            }
            Some(other) => other.to_owned(),
            None => "no trigger".to_owned(),
        }
    }

    /// Whether the policy names clusters, which each provider numbers itself.
    pub(super) fn names_clusters(&self) -> bool {
        let attributes = self.whole["extra_attrs"].as_str().unwrap_or_default();
        let attributes: Value = serde_json::from_str(attributes).unwrap_or_default();
        attributes["cluster_ids"]
            .as_array()
            .is_some_and(|clusters| !clusters.is_empty())
    }

    /// Makes Harbor call another instance for this policy. Nothing else of it changes.
    pub(super) async fn point_at(&self, harbor: &TheirApi, instance: i64) -> Result<(), PolicyError> {
        let mut body = self.whole.clone();
        body["provider_id"] = instance.into();
        if let Some(fields) = body.as_object_mut() {
            fields.remove("provider_name");
        }
        let path = path_of(&self.project, &self.policy.name);
        harbor.put(&path, &body).await?;
        let stored: Policy = harbor.get(&path).await?;
        if stored.provider_id == instance {
            Ok(())
        } else {
            Err(PolicyError::NotStored("it has another provider"))
        }
    }

    /// Deletes the policy. Harbor refuses this while an execution runs.
    pub(super) async fn delete(&self, harbor: &TheirApi) -> Result<(), HarborError> {
        harbor.delete(&path_of(&self.project, &self.policy.name)).await
    }

    /// Returns the status of the last execution.
    pub(super) async fn last_execution(&self, harbor: &TheirApi) -> Result<Option<String>, HarborError> {
        let path = path_of(&self.project, &self.policy.name);
        let newest = format!("{path}/executions?page=1&page_size=1&sort=-id");
        let all: Option<Vec<Value>> = harbor.get(&newest).await?;
        let first = all.unwrap_or_default().into_iter().next();
        Ok(first.and_then(|execution| execution["status"].as_str().map(str::to_owned)))
    }
}

/// Returns the policies of every project.
pub(super) async fn list(harbor: &TheirApi) -> Result<Vec<StoredPolicy>, HarborError> {
    let projects: Vec<Project> = harbor.pages("/projects").await?;
    let mut policies = Vec::new();
    for Project { name, .. } in projects {
        let all: Vec<Value> = harbor
            .pages(&format!("/projects/{}/preheat/policies", part(&name)))
            .await?;
        policies.extend(
            all.into_iter()
                .filter_map(|whole| StoredPolicy::read(&name, whole)),
        );
    }
    Ok(policies)
}

pub(super) async fn find(
    harbor: &TheirApi,
    project: &str,
    name: &str,
) -> Result<Option<StoredPolicy>, HarborError> {
    let whole: Option<Value> = harbor.find(&path_of(project, name)).await?;
    Ok(whole.and_then(|whole| StoredPolicy::read(project, whole)))
}

fn path_of(project: &str, policy: &str) -> String {
    format!("/projects/{}/preheat/policies/{}", part(project), part(policy))
}

#[derive(Debug, thiserror::Error)]
pub(super) enum PolicyError {
    #[error("Harbor has no project {0:?}, or the user may not read it: check --project")]
    NoProject(String),
    #[error("Harbor did not store the policy as it was sent: {0}; check it in the project's P2P Preheat tab")]
    NotStored(&'static str),
    #[error("a policy of Harbor {0} cannot have {1}: leave it out")]
    Unsupported(Version, &'static str),
    #[error(transparent)]
    Harbor(#[from] HarborError),
}

/// What `connect` will write, checked before anything changes.
pub(super) struct PreparedPolicy {
    project: String,
    name: String,
    body: Value,
    before: Option<i64>,
}

impl PreparedPolicy {
    /// Whether the policy exists already.
    pub(super) fn exists(&self) -> bool {
        self.before.is_some()
    }
}

/// Checks that the project exists, and that this Harbor supports what is wanted.
pub(super) async fn prepare(
    harbor: &TheirApi,
    version: Version,
    wanted: &WantedPolicy<'_>,
) -> Result<PreparedPolicy, PolicyError> {
    let of_project = format!("/projects/{}", part(wanted.project));
    let project: Option<Project> = harbor.find(&of_project).await?;
    let project = project.ok_or_else(|| PolicyError::NoProject(wanted.project.to_owned()))?;
    let before: Option<Policy> = harbor.find(&path_of(wanted.project, wanted.name)).await?;
    Ok(PreparedPolicy {
        project: wanted.project.to_owned(),
        name: wanted.name.to_owned(),
        body: body(version, wanted, project.project_id)?,
        before: before.map(|policy| policy.id),
    })
}

/// Creates or updates the policy, and reads it back.
pub(super) async fn store(
    harbor: &TheirApi,
    prepared: PreparedPolicy,
    instance: i64,
) -> Result<(), PolicyError> {
    let PreparedPolicy {
        project,
        name,
        mut body,
        before,
    } = prepared;
    let path = path_of(&project, &name);
    body["provider_id"] = instance.into();
    if let Some(id) = before {
        body["id"] = id.into();
        harbor.put(&path, &body).await?;
    } else {
        let policies = format!("/projects/{}/preheat/policies", part(&project));
        harbor.post(&policies, &body).await?;
    }
    let policy: Policy = harbor.get(&path).await?;
    check_stored(instance, &policy).map_err(PolicyError::NotStored)
}

/// Harbor expects `filters`, `trigger` and `extra_attrs` as strings that hold JSON.
fn body(version: Version, wanted: &WantedPolicy<'_>, project: i64) -> Result<Value, PolicyError> {
    let mut body = json!({
        "name": wanted.name,
        "description": "Stoker",
        "project_id": project,
        "filters": filters(wanted).to_string(),
        "trigger": trigger(wanted.trigger).to_string(),
        "enabled": true,
    });
    match version.scope_place() {
        ScopePlace::Nowhere if wanted.scope.is_some() => {
            return Err(PolicyError::Unsupported(version, "a scope"));
        }
        ScopePlace::Nowhere | ScopePlace::Column if !wanted.clusters.is_empty() => {
            return Err(PolicyError::Unsupported(version, "clusters"));
        }
        ScopePlace::Nowhere => {}
        ScopePlace::Column => body["scope"] = scope_of_2_12(wanted.scope).into(),
        ScopePlace::ExtraAttributes => body["extra_attrs"] = extra_attributes(wanted).to_string().into(),
    }
    Ok(body)
}

fn filters(wanted: &WantedPolicy<'_>) -> Value {
    json!([
        { "type": "repository", "value": wanted.repository },
        { "type": "tag", "value": wanted.tag },
    ])
}

fn trigger(trigger: &Trigger) -> Value {
    match trigger {
        Trigger::Manual => json!({ "type": "manual" }),
        Trigger::Push => json!({ "type": "event_based" }),
        Trigger::Cron(cron) => json!({ "type": "scheduled", "trigger_setting": { "cron": cron } }),
    }
}

/// 2.12 has another word for a single seed.
fn scope_of_2_12(scope: Option<&str>) -> &str {
    match scope {
        Some("single_seed_peer") | None => "single_peer",
        Some(other) => other,
    }
}

fn extra_attributes(wanted: &WantedPolicy<'_>) -> Value {
    let mut attributes = json!({ "scope": wanted.scope.unwrap_or("single_seed_peer") });
    if !wanted.clusters.is_empty() {
        attributes["cluster_ids"] = json!(wanted.clusters);
    }
    attributes
}

fn check_stored(instance: i64, policy: &Policy) -> Result<(), &'static str> {
    if policy.provider_id != instance {
        return Err("it has another provider");
    }
    if !policy.enabled {
        return Err("it is disabled");
    }
    let filters: Value = serde_json::from_str(&policy.filters).unwrap_or_default();
    if filters.as_array().is_none_or(Vec::is_empty) {
        return Err("it has no filter, without which Harbor never runs it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted<'a>(scope: Option<&'a str>, clusters: &'a [i64]) -> WantedPolicy<'a> {
        WantedPolicy {
            project: "library",
            name: "stoker",
            repository: "**",
            tag: "v*",
            trigger: &Trigger::Push,
            scope,
            clusters,
        }
    }

    fn made(version: &str, scope: Option<&str>, clusters: &[i64]) -> Result<Value, PolicyError> {
        body(Version::parse(version).unwrap(), &wanted(scope, clusters), 7)
    }

    #[test]
    fn filters_and_trigger_are_strings_of_json() {
        let body = made("v2.15.2", None, &[]).unwrap();
        assert_eq!(
            body["filters"],
            r#"[{"type":"repository","value":"**"},{"type":"tag","value":"v*"}]"#
        );
        assert_eq!(body["trigger"], r#"{"type":"event_based"}"#);
        assert_eq!(body["project_id"], json!(7));
    }

    #[test]
    fn the_scope_is_where_each_version_reads_it() {
        let new = made("v2.13.0", Some("all_peers"), &[1, 2]).unwrap();
        let attributes: Value = serde_json::from_str(new["extra_attrs"].as_str().unwrap()).unwrap();
        assert_eq!(attributes, json!({"scope": "all_peers", "cluster_ids": [1, 2]}));
        assert_eq!(made("v2.12.4", None, &[]).unwrap()["scope"], "single_peer");
        assert_eq!(
            made("v2.12.4", Some("all_peers"), &[]).unwrap()["scope"],
            "all_peers"
        );
        assert_eq!(made("v2.8.0", None, &[]).unwrap().get("scope"), None);
    }

    #[test]
    fn an_option_that_harbor_lacks_is_refused() {
        assert!(matches!(
            made("v2.8.0", Some("all_peers"), &[]),
            Err(PolicyError::Unsupported(..))
        ));
        assert!(matches!(
            made("v2.12.4", None, &[1]),
            Err(PolicyError::Unsupported(..))
        ));
    }

    #[test]
    fn a_trigger_is_push_manual_or_six_fields() {
        assert_eq!("push".parse(), Ok(Trigger::Push));
        assert!("0 0 2 * * *".parse::<Trigger>().is_ok());
        assert!("0 2 * * *".parse::<Trigger>().is_err());
    }
}
