//! `stoker token`: creates, lists and revokes tokens.

use api::types::{CreateJoinToken, CreateToken, JoinTokens, NewJoinToken, NewToken, Timestamp, Tokens};
use clap::{Args, Subcommand};
use http::StatusCode;

use super::output;
use super::output::Table;
use super::stop::Stop;
use crate::cli::client::{Api, AskError, ServerFlags};

/// Create, list and revoke tokens of callers and join tokens (needs a token with scope `admin`).
#[derive(Debug, Args)]
#[command(after_help = "\
Scopes of callers: preheat (create preheats) · read (read everything) · admin (everything, also tokens)
Scopes of join tokens: node · seed. A peer uses one once, to get its own certificate.

Examples:
  stoker token create --name harbor --scope preheat --scope read
  stoker token create --scope node --cluster edge-7 > join.token
  stoker token create --scope seed --joins 2 --expires 1d
  stoker token create --name harbor-2.11 --endpoint     a URL with the token in its path
  stoker token revoke 01k9…

A revoked token is refused at once. Only polls of the preheats that it created work for 30 more minutes,
because running jobs of Harbor keep the old token.")]
pub(crate) struct TokenArguments {
    #[command(subcommand)]
    action: TokenAction,
}

#[derive(Debug, Subcommand)]
enum TokenAction {
    Create(Create),
    List(ListTokens),
    Revoke(Revoke),
}

/// Create a token. It is printed once and not stored.
#[derive(Debug, Args)]
struct Create {
    /// Name of the token, for people; not for join tokens.
    #[arg(long)]
    name: Option<String>,
    /// Scope: preheat, read or admin (repeatable); or node or seed, for a join token.
    #[arg(
        long = "scope",
        required_unless_present = "endpoint",
        conflicts_with = "endpoint",
        value_name = "SCOPE"
    )]
    scopes: Vec<String>,
    /// Print a URL with the token in its path: for Harbor up to 2.11 and for registries that cannot send a
    /// credential. It may create preheats and poll its own.
    #[arg(long)]
    endpoint: bool,
    /// Lifetime: 12h, 365d. [default: 365d, for a join token 7d]
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    #[command(flatten)]
    joining: Joining,
    #[command(flatten)]
    server: ServerFlags,
}

/// What only a join token has.
#[derive(Debug, Args)]
struct Joining {
    /// Cluster of the peers that join with it. [default: default]
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// How many peers may join with it; 0 means no limit. [default: 1 for seeds, no limit for nodes]
    #[arg(long, value_name = "N")]
    joins: Option<u32>,
    /// How many peers may join in a minute. [default: 600]
    #[arg(long, value_name = "N")]
    per_minute: Option<u32>,
    /// Id of a peer that lost its data folder and keeps its id.
    #[arg(long, value_name = "ID")]
    peer: Option<uuid::Uuid>,
}

/// List the tokens, without their secrets.
#[derive(Debug, Args)]
struct ListTokens {
    #[command(flatten)]
    server: ServerFlags,
}

/// Revoke a token.
#[derive(Debug, Args)]
struct Revoke {
    /// Id as `stoker token list` shows it.
    id: String,
    #[command(flatten)]
    server: ServerFlags,
}

pub(crate) async fn run(arguments: TokenArguments) -> Result<(), Stop> {
    match arguments.action {
        TokenAction::Create(create) => self::create(create).await,
        TokenAction::List(list) => self::list(list).await,
        TokenAction::Revoke(revoke) => self::revoke(revoke).await,
    }
}

async fn create(create: Create) -> Result<(), Stop> {
    let joins = |scope: &String| matches!(scope.as_str(), "seed" | "node");
    match &create.scopes[..] {
        [scope] if joins(scope) => create_for_peers(&create, scope).await,
        scopes if scopes.iter().any(joins) => Err(Stop::usage(
            "a join token has one scope, seed or node: make one token for each".to_owned(),
        )),
        _ if create.joining.is_given() => Err(Stop::usage(
            "--cluster, --joins, --per-minute and --peer are for join tokens: give --scope node or --scope seed"
                .to_owned(),
        )),
        _ => create_for_callers(create).await,
    }
}

impl Joining {
    fn is_given(&self) -> bool {
        let Self {
            cluster,
            joins,
            per_minute,
            peer,
        } = self;
        cluster.is_some() || joins.is_some() || per_minute.is_some() || peer.is_some()
    }
}

/// Only the token is on stdout, so that it can go into a file.
async fn create_for_peers(create: &Create, scope: &str) -> Result<(), Stop> {
    let api = Api::new(&create.server)?;
    let Joining {
        cluster,
        joins,
        per_minute,
        peer,
    } = &create.joining;
    let body = CreateJoinToken {
        scope: scope.to_owned(),
        cluster: cluster.clone(),
        joins: *joins,
        per_minute: *per_minute,
        expires: create.expires.clone(),
        peer: *peer,
    };
    let made: NewJoinToken = api.post("/api/v1/join-tokens", &body).await?;
    output::say(made.token.expose());
    output::remark(format!(
        "Join token {} for a {} of cluster {}, good until {}. It is shown only now. On the peer's machine, with the token \
         in the file join.token:\n  stoker-peer --data-dir /var/lib/stoker --manager https://{}:{} --join-token-file \
         join.token",
        made.id,
        made.scope.word(),
        made.cluster,
        made.expires_at,
        host_of(&create.server.server),
        made.peer_port,
    ));
    Ok(())
}

/// The host that the manager was reached at.
fn host_of(server: &str) -> String {
    url::Url::parse(server)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_else(|| "MANAGER".to_owned())
}

/// Prints only the token, or the URL that holds it, on stdout, so that it can go into a file.
async fn create_for_callers(create: Create) -> Result<(), Stop> {
    let Some(name) = &create.name else {
        return Err(Stop::usage("--name is needed: what is the token for?".to_owned()));
    };
    let expires = create.expires.as_deref().unwrap_or("365d");
    let api = Api::new(&create.server)?;
    let kind = if create.endpoint { "endpoint" } else { "caller" };
    let body = CreateToken {
        kind: Some(kind.to_owned()),
        name: name.clone(),
        scopes: create.scopes.clone(),
        expires: Some(expires.to_owned()),
    };
    let made: NewToken = api.post("/api/v1/tokens", &body).await?;
    match &made.endpoint {
        Some(endpoint) => output::say(whole_url(&create.server.server, endpoint.expose())),
        None => output::say(made.token.expose()),
    }
    output::remark(format!(
        "Token {} ({}), good until {}. It is shown only now; keep it.",
        made.id, name, made.expires_at
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

async fn list(list: ListTokens) -> Result<(), Stop> {
    let api = Api::new(&list.server)?;
    let Tokens { tokens } = api.get("/api/v1/tokens").await?;
    let mut table = Table::new(["ID", "NAME", "KIND", "SCOPES", "EXPIRES", "REVOKED"]);
    for token in tokens {
        table.row([
            token.id,
            token.name,
            token.kind,
            token.scopes.join(","),
            moment(token.expires_at),
            moment(token.revoked_at),
        ]);
    }
    table.say();
    list_join_tokens(&api).await
}

async fn list_join_tokens(api: &Api) -> Result<(), Stop> {
    let JoinTokens { join_tokens } = api.get("/api/v1/join-tokens").await?;
    if join_tokens.is_empty() {
        return Ok(());
    }
    let mut table = Table::new([
        "JOIN TOKEN",
        "SCOPE",
        "CLUSTER",
        "JOINED",
        "LEFT",
        "EXPIRES",
        "REVOKED",
    ]);
    for token in join_tokens {
        table.row([
            token.id,
            token.scope.word().to_owned(),
            token.cluster,
            token.joined.to_string(),
            token
                .joins_left
                .map_or_else(|| "any number".to_owned(), |left| left.to_string()),
            token.expires_at.to_string(),
            moment(token.revoked_at),
        ]);
    }
    output::say("");
    table.say();
    Ok(())
}

fn moment(moment: Option<Timestamp>) -> String {
    moment.map_or_else(|| "-".to_owned(), |moment| moment.to_string())
}

async fn revoke(revoke: Revoke) -> Result<(), Stop> {
    let plain = revoke
        .id
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_');
    if !plain || revoke.id.is_empty() {
        return Err(Stop::usage(format!(
            "`{}` is not the id of a token; see stoker token list",
            revoke.id
        )));
    }
    let api = Api::new(&revoke.server)?;
    match api.delete(&format!("/api/v1/tokens/{}", revoke.id)).await {
        // Ids of both kinds look alike.
        Err(AskError::Refused { status, .. }) if status == StatusCode::NOT_FOUND => {
            api.delete(&format!("/api/v1/join-tokens/{}", revoke.id)).await?;
        }
        other => other?,
    }
    output::say(format!("Token {} is revoked.", revoke.id));
    Ok(())
}
