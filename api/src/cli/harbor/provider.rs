//! Makes Stoker a provider of a Harbor: a token at the manager, and the instance that holds it.
//!
//! **Invariants:** an instance that works is replaced only after Harbor has reached the new endpoint. A token is revoked
//! if Harbor did not get it; the token that Harbor has is never revoked.

use clap::Args;

use super::super::output;
use super::super::stop::Stop;
use super::address::Endpoint;
use super::generation::Version;
use super::instance::{self, Instance, Vendor, WantedInstance};
use super::site::{HarborFlags, stop_of};
use super::their_api::TheirApi;
use super::token::HarborToken;
use crate::cli::client::{Api, ServerFlags};

#[derive(Debug, Args)]
pub(super) struct ProviderFlags {
    /// URL at which Harbor's containers reach the manager. [default: --server, unless that is loopback]
    #[arg(long, env = "STOKER_ENDPOINT", value_name = "URL")]
    endpoint: Option<String>,
    /// Let Harbor skip verification of the manager's certificate.
    #[arg(long)]
    harbor_trusts_any_certificate: bool,
    #[command(flatten)]
    server: ServerFlags,
}

impl ProviderFlags {
    pub(super) fn manager(&self) -> Result<Api, Stop> {
        Ok(Api::new(&self.server)?)
    }

    pub(super) fn endpoint(&self) -> Result<Endpoint, Stop> {
        Endpoint::choose(self.endpoint.as_deref(), &self.server.server).map_err(Stop::usage)
    }
}

/// What a command needs to make Stoker a provider.
pub(super) struct Provider<'a> {
    pub(super) harbor: &'a TheirApi,
    pub(super) version: Version,
    pub(super) site: &'a HarborFlags,
    pub(super) flags: &'a ProviderFlags,
    pub(super) vendor: Vendor,
}

impl Provider<'_> {
    /// Returns the instance of Harbor before the command, after checks that need no change.
    pub(super) async fn before(&self, endpoint: &Endpoint) -> Result<Option<Instance>, Stop> {
        let before = instance::find(self.harbor, &self.site.name)
            .await
            .map_err(stop_of)?;
        instance::check_before(
            self.harbor,
            &self.site.name,
            self.vendor,
            endpoint,
            before.as_ref(),
        )
        .await
        .map_err(Stop::failed)?;
        Ok(before)
    }

    /// Creates or updates the instance with a new token, and revokes the tokens before it.
    pub(super) async fn ensure(&self, manager: &Api, endpoint: &Endpoint) -> Result<Instance, Stop> {
        let before = self.before(endpoint).await?;
        let token = HarborToken::create(manager, self.site, self.version).await?;
        let endpoint = if token.in_path {
            endpoint.below(token.text.expose()).map_err(Stop::usage)?
        } else {
            endpoint.clone()
        };
        let wanted = WantedInstance {
            name: &self.site.name,
            vendor: self.vendor,
            endpoint: &endpoint,
            token: (!token.in_path).then_some(&token.text),
            insecure: self.flags.harbor_trusts_any_certificate,
        };
        if let Err(error) = instance::store(self.harbor, &wanted, before.as_ref()).await {
            if !error.may_be_stored() {
                token.revoke(manager).await;
            }
            return Err(Stop::failed(error));
        }
        let stored = instance::read_back(self.harbor, &wanted).await;
        let stored = stored.map_err(Stop::failed)?;
        output::say(stored.line(""));
        token.revoke_older(manager, self.site).await?;
        if before.is_none() {
            let pinged = instance::ping(self.harbor, &stored).await;
            pinged.map_err(Stop::failed)?;
        }
        output::say("ping      Harbor reaches the manager, and the manager accepts the token");
        Ok(stored)
    }
}
