//! The manager's native API and command line.

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::{Manager, binary};
use crate::program::run;

const ANSWER_LIMIT: Duration = Duration::from_secs(30);
const COMMAND_LIMIT: Duration = Duration::from_secs(120);

impl Manager {
    /// GET with the first token; the answer must be 2xx and JSON.
    pub async fn get(&self, path: &str) -> Value {
        let request = self.http().get(format!("{}{path}", self.url()));
        answer(path, request.bearer_auth(self.admin_token())).await
    }

    /// POST of JSON with the first token; the answer must be 2xx and JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http().post(format!("{}{path}", self.url())).json(body);
        answer(path, request.bearer_auth(self.admin_token())).await
    }

    /// GET without a credential; the answer must be 2xx and JSON.
    pub async fn bare_get(&self, path: &str) -> Value {
        answer(path, self.http().get(format!("{}{path}", self.url()))).await
    }

    /// POST of JSON without a credential, or with the one in the path; the answer must be 2xx and JSON.
    pub async fn bare_post(&self, path: &str, body: &Value) -> Value {
        answer(path, self.http().post(format!("{}{path}", self.url())).json(body)).await
    }

    /// The path of a new endpoint with a token in it: `/t/…`.
    pub async fn new_endpoint(&self) -> String {
        let made = self
            .stoker(&["token", "create", "--name", "endpoint", "--endpoint"])
            .await;
        let told = String::from_utf8_lossy(&made.stdout);
        let path = told.trim().strip_prefix(&self.url()).map(str::to_owned);
        path.unwrap_or_else(|| panic!("no endpoint: {told} {}", String::from_utf8_lossy(&made.stderr)))
    }

    /// `stoker ARGUMENTS` with this manager's URL and first token in the environment.
    pub async fn stoker(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary("stoker"));
        command.args(arguments).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("STOKER_SERVER", self.url())
            .env("STOKER_TOKEN_FILE", self.admin_token_file());
        run(command, COMMAND_LIMIT).await
    }

    /// A new token that peers join with: scope `seed` or `node`; for the peer of this id, if there is one.
    pub async fn join_token(&self, scope: &str, cluster: &str, peer: Option<Uuid>) -> String {
        let joins = u32::from(peer.is_some());
        let body = serde_json::json!({"scope": scope, "cluster": cluster, "joins": joins, "peer": peer});
        let made = self.post("/api/v1/join-tokens", &body).await;
        made["token"]
            .as_str()
            .unwrap_or_else(|| panic!("the response has no join token for a {scope}: {made}"))
            .to_owned()
    }

    /// A new token with these scopes.
    pub async fn new_token(&self, name: &str, scopes: &[&str]) -> String {
        let body = serde_json::json!({"name": name, "scopes": scopes, "expires": "1d"});
        let made = self.post("/api/v1/tokens", &body).await;
        made["token"]
            .as_str()
            .unwrap_or_else(|| panic!("the response has no token for {name}"))
            .to_owned()
    }
}

async fn answer(path: &str, request: reqwest::RequestBuilder) -> Value {
    let answer = request.timeout(ANSWER_LIMIT).send().await;
    let answer = answer.unwrap_or_else(|error| panic!("{path}: {error:?}"));
    let status = answer.status();
    let text = answer
        .text()
        .await
        .unwrap_or_else(|error| panic!("{path}: {error:?}"));
    assert!(status.is_success(), "{path} returned {status}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path} did not return JSON ({error}): {text}"))
}
