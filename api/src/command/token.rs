//! `stoker token`: who may ask the manager for what.

use clap::{Args, Subcommand};
use serde_json::json;

use super::output::Table;
use super::{Stop, output};
use crate::client::{Api, MadeToken, ServerFlags, Tokens};

/// Make, list and revoke tokens (needs a token of scope `admin`).
#[derive(Debug, Args)]
#[command(after_help = "\
Scopes: preheat (ask for preheats) · read (look) · peer (be a peer) · admin (tokens, and all the rest)

Examples:
  stoker token create --name harbor --scope preheat --scope read
  stoker token create --name peers --scope peer --expires 365d > peer.token
  stoker token create --name harbor-2.11 --endpoint     a URL to paste, for who can send no credential
  stoker token revoke 01k9…

A revoked token is refused at once, but for polls of the preheats that it asked for (30 minutes):
Harbor's running jobs keep the old one.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

/// Make a token; it is printed once and kept nowhere.
#[derive(Debug, Args)]
struct Create {
    /// What it is for, for people.
    #[arg(long)]
    name: String,
    /// preheat, read, peer or admin; may be given several times.
    #[arg(
        long = "scope",
        required_unless_present = "endpoint",
        conflicts_with = "endpoint",
        value_name = "SCOPE"
    )]
    scopes: Vec<String>,
    /// Print a URL with the token in its path: for Harbor up to 2.11, and for registries that can send no
    /// credential. It may ask for preheats and poll its own.
    #[arg(long)]
    endpoint: bool,
    /// How long it is good for: 12h, 365d.
    #[arg(long, default_value = "365d", value_name = "TIME")]
    expires: String,
    #[command(flatten)]
    server: ServerFlags,
}

/// List all tokens, without the tokens themselves.
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    server: ServerFlags,
}

/// Refuse a token from now on.
#[derive(Debug, Args)]
struct Revoke {
    /// As `stoker token list` shows it.
    id: String,
    #[command(flatten)]
    server: ServerFlags,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Stop> {
    match arguments.action {
        Action::Create(create) => self::create(create).await,
        Action::List(list) => self::list(list).await,
        Action::Revoke(revoke) => self::revoke(revoke).await,
    }
}

/// Only the token, or the URL that it stands in, is on stdout, so that it can go into a file.
async fn create(create: Create) -> Result<(), Stop> {
    let api = Api::new(&create.server)?;
    let kind = if create.endpoint { "endpoint" } else { "caller" };
    let body = json!({"kind": kind, "name": create.name, "scopes": create.scopes, "expires": create.expires});
    let made: MadeToken = api.post("/api/v1/tokens", &body).await?;
    match &made.endpoint {
        Some(endpoint) => output::say(whole_url(&create.server.server, endpoint.expose())),
        None => output::say(made.token.expose()),
    }
    output::remark(format!(
        "Token {} ({}), good until {}. It is shown only now; keep it.",
        made.id, create.name, made.expires_at
    ));
    Ok(())
}

/// A manager that does not know its own URL tells the path only; it was reached at `server`.
fn whole_url(server: &str, endpoint: &str) -> String {
    if endpoint.starts_with('/') {
        format!("{}{endpoint}", server.trim_end_matches('/'))
    } else {
        endpoint.to_owned()
    }
}

async fn list(list: List) -> Result<(), Stop> {
    let api = Api::new(&list.server)?;
    let Tokens { tokens } = api.get("/api/v1/tokens").await?;
    let mut table = Table::new(["ID", "NAME", "KIND", "SCOPES", "EXPIRES", "REVOKED"]);
    for token in tokens {
        table.row([
            token.id,
            token.name,
            token.kind,
            token.scopes.join(","),
            token.expires_at.unwrap_or_else(nothing),
            token.revoked_at.unwrap_or_else(nothing),
        ]);
    }
    table.say();
    Ok(())
}

fn nothing() -> String {
    "-".to_owned()
}

async fn revoke(revoke: Revoke) -> Result<(), Stop> {
    let plain = revoke
        .id
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_');
    if !plain || revoke.id.is_empty() {
        return Err(Stop::usage(format!(
            "`{}` is no token's id; see stoker token list",
            revoke.id
        )));
    }
    let api = Api::new(&revoke.server)?;
    api.delete(&format!("/api/v1/tokens/{}", revoke.id)).await?;
    output::say(format!("Token {} is revoked.", revoke.id));
    Ok(())
}
