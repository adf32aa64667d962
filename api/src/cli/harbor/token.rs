//! The manager's token for one Harbor.

use api::types::{CreateToken, NewToken, TokenBody, Tokens};
use wire::SecretText;

use super::super::output;
use super::super::stop::Stop;
use super::generation::Version;
use super::site::HarborFlags;
use crate::cli::client::Api;

/// The name of the tokens that commands create for this Harbor.
pub(super) fn name_of(flags: &HarborFlags) -> String {
    format!("{} of {}", flags.name, flags.host())
}

/// Returns the tokens for this Harbor that are not revoked.
pub(super) async fn live(manager: &Api, flags: &HarborFlags) -> Result<Vec<TokenBody>, Stop> {
    let name = name_of(flags);
    let Tokens { tokens } = manager.get("/api/v1/tokens").await?;
    let live = tokens
        .into_iter()
        .filter(|token| token.name == name && token.revoked_at.is_none());
    Ok(live.collect())
}

pub(super) async fn revoke(manager: &Api, id: &str) -> Result<(), Stop> {
    Ok(manager.delete(&format!("/api/v1/tokens/{id}")).await?)
}

/// The token that this run created for Harbor.
pub(super) struct HarborToken {
    id: String,
    pub(super) text: SecretText,
    /// The token is in the endpoint's path, because this Harbor sends no credential.
    pub(super) in_path: bool,
}

impl HarborToken {
    pub(super) async fn create(manager: &Api, flags: &HarborFlags, version: Version) -> Result<Self, Stop> {
        let in_path = !version.sends_credentials();
        let name = name_of(flags);
        let scopes: &[&str] = if in_path { &[] } else { &["preheat", "read"] };
        let body = CreateToken {
            kind: in_path.then(|| "endpoint".to_owned()),
            name: name.clone(),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            expires: Some("365d".to_owned()),
        };
        let made: NewToken = manager.post("/api/v1/tokens", &body).await?;
        output::say(format!(
            "token     {} ({name}), valid until {}",
            made.id, made.expires_at
        ));
        Ok(Self {
            id: made.id,
            text: made.token,
            in_path,
        })
    }

    /// Revokes a token that Harbor did not get.
    pub(super) async fn revoke(&self, manager: &Api) {
        if revoke(manager, &self.id).await.is_err() {
            output::remark(format!(
                "Token {} could not be revoked. Revoke it: stoker token revoke {}",
                self.id, self.id
            ));
        }
    }

    /// Revokes the tokens of earlier runs.
    pub(super) async fn revoke_older(&self, manager: &Api, flags: &HarborFlags) -> Result<(), Stop> {
        let all = live(manager, flags).await?;
        for token in all.iter().filter(|token| token.id != self.id) {
            revoke(manager, &token.id).await?;
            output::say(format!("token     {} of an earlier run is revoked", token.id));
        }
        Ok(())
    }
}
