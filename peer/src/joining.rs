//! How a process becomes a peer: by the membership in its data folder, or by a join token, which is used once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures_util::future::BoxFuture;
use process::mutual::{HandshakeFault, handshake_fault, pinned_client};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};
use wire::{
    CaFingerprint, CallError, ClusterName, JoinRequest, JoinToken, Joined, MANAGER_HOST, ManagerClient,
    PublicKey, Role,
};

use crate::membership::{self, Clock, Membership, OwnKey};

/// How long joining waits for a manager that is unreachable or busy.
const WAIT_FOR_MANAGER: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_secs(2);
/// How often renewal is checked; a certificate is due once a day.
const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// How a peer without a membership joins.
pub enum Joining {
    /// None: the peer must have joined before.
    Token(Option<JoinToken>),
    Direct(DirectJoining),
}

type JoinDirectly = dyn FnOnce(PublicKey) -> BoxFuture<'static, anyhow::Result<Joined>> + Send;

/// Joins the manager of the same process.
pub struct DirectJoining {
    /// A membership of another authority is removed.
    pub ca: CaFingerprint,
    pub join: Box<JoinDirectly>,
}

/// What the flags say, which the certificate must confirm.
pub(crate) struct ExpectedIdentity {
    pub(crate) role: Option<Role>,
    pub(crate) cluster: Option<ClusterName>,
}

/// Returns the membership in the folder, or joins.
pub(crate) async fn membership(
    folder: &Path,
    manager: &str,
    name: &str,
    joining: Joining,
    clock: Clock,
) -> anyhow::Result<Membership> {
    let present = match &joining {
        Joining::Direct(direct) => of_authority(folder, direct.ca, &clock)?,
        Joining::Token(_) => Membership::open(folder, Arc::clone(&clock))?,
    };
    match (present, joining) {
        (Some(present), joining) => {
            look_at_token(&present, &joining)?;
            Ok(present)
        }
        (None, Joining::Direct(direct)) => {
            let key = OwnKey::at(folder)?;
            Membership::begin(folder, (direct.join)(key.public).await?, clock)
        }
        (None, Joining::Token(Some(token))) => join_with(folder, manager, name, &token, clock).await,
        (None, Joining::Token(None)) => bail!(
            "this peer has not joined a manager: create a join token there with `stoker token create --scope node` (or seed), \
             and start the peer with --join-token-file FILE"
        ),
    }
}

/// Returns the membership, if it is of this authority. Removes any other one.
fn of_authority(folder: &Path, ca: CaFingerprint, clock: &Clock) -> anyhow::Result<Option<Membership>> {
    let present = Membership::open(folder, Arc::clone(clock));
    match present {
        Ok(Some(present)) if present.authority()? == ca => Ok(Some(present)),
        Ok(None) => Ok(None),
        // The manager is in this process: joining it again costs nothing.
        Ok(Some(_)) | Err(_) => {
            membership::forget(folder)?;
            Ok(None)
        }
    }
}

fn look_at_token(present: &Membership, joining: &Joining) -> anyhow::Result<()> {
    if let Joining::Token(Some(token)) = joining
        && present.authority()? != token.ca
    {
        warn!(
            stoker.side = "peer",
            "join token not used: it is another manager's. To change the manager, remove membership.json and membership.key \
             in the data folder"
        );
    }
    Ok(())
}

/// Refuses flags that differ from the certificate.
pub(crate) fn check(membership: &Membership, expected: &ExpectedIdentity) -> anyhow::Result<()> {
    let identity = membership.identity();
    let role = identity.role.word();
    if let Some(wanted) = expected.role {
        ensure!(
            wanted == identity.role,
            "--{} differs from this peer's certificate, which says {role}: leave the flag out, or create a join token with \
             `stoker token create --scope {}` and join with an empty data folder",
            wanted.word(),
            wanted.word()
        );
    }
    if let Some(wanted) = &expected.cluster {
        ensure!(
            *wanted == identity.cluster,
            "--cluster {wanted} differs from this peer's certificate, which says {}: leave the flag out, or create a join \
             token with `stoker token create --scope {role} --cluster {wanted}` and join with an empty data folder",
            identity.cluster
        );
    }
    Ok(())
}

async fn join_with(
    folder: &Path,
    manager: &str,
    name: &str,
    token: &JoinToken,
    clock: Clock,
) -> anyhow::Result<Membership> {
    let key = OwnKey::at(folder)?;
    let ca = token.ca;
    let is_authority = move |der: &[u8]| CaFingerprint::of(der) == ca;
    let http = pinned_client(MANAGER_HOST, Arc::new(is_authority))?;
    let ask = || JoinRequest {
        token: token.text(),
        public_key: key.public,
        name: name.to_owned(),
        clock_unix_ms: clock(),
        wire_version: wire::VERSION,
    };
    let joined = patiently(|| {
        let request = ask();
        let http = &http;
        async move { wire::join(http, manager, &request).await }
    })
    .await
    .with_context(|| format!("joining the manager at {manager} failed"))?;
    ensure!(
        membership::fingerprint(&joined.ca_pem)? == ca,
        "the manager at {manager} sent an authority that did not sign its certificate: check the address"
    );
    let membership = Membership::begin(folder, joined, clock)?;
    let identity = membership.identity();
    info!(
        stoker.peer_id = %identity.peer,
        stoker.role = identity.role.word(),
        stoker.cluster = %identity.cluster,
        "joined the manager"
    );
    Ok(membership)
}

/// Retries while the manager is unreachable or busy. A refusal is final.
async fn patiently<F, Fut>(ask: F) -> anyhow::Result<Joined>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Joined, CallError>>,
{
    let began = Instant::now();
    loop {
        let error = match ask().await {
            Ok(joined) => return Ok(joined),
            Err(error) => error,
        };
        let may_pass = matches!(error, CallError::Unreachable(_) | CallError::Busy(_))
            && handshake_fault(&error).is_none();
        if !may_pass || began.elapsed() > WAIT_FOR_MANAGER {
            return Err(explained(&error));
        }
        warn!(stoker.side = "network", error = %causes(&error), "joining failed, trying again");
        sleep(PAUSE).await;
    }
}

fn explained(error: &CallError) -> anyhow::Error {
    match handshake_fault(error) {
        Some(HandshakeFault::NoTls) => {
            anyhow::anyhow!("the server does not speak TLS: write the manager's peer port, https://host:8443")
        }
        Some(HandshakeFault::Untrusted) => anyhow::anyhow!(
            "the server is not the manager of the join token ({}): check the manager's address, or create a join token at \
             this manager",
            causes(error)
        ),
        None => anyhow::anyhow!(causes(error)),
    }
}

/// Returns all causes, outermost first: the outer texts of the library say little.
fn causes(error: &CallError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(one) = cause {
        text = format!("{text}: {one}");
        cause = one.source();
    }
    text
}

/// Renews the certificate every day, until the process ends.
pub(crate) async fn keep_renewed(membership: Membership, manager: ManagerClient) {
    loop {
        if membership.is_due() {
            let renewed = match manager.renew().await {
                Ok(joined) => membership.renew(joined),
                Err(error) => Err(error.into()),
            };
            match renewed {
                Ok(()) => info!("certificate renewed"),
                Err(error) => warn!(stoker.side = "manager", %error, "certificate not renewed yet"),
            }
        }
        sleep(LOOK_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::tests::Authority;

    #[tokio::test]
    async fn a_port_without_tls_fails_at_once_and_says_why() {
        process::install_tls_provider();
        let listener = process::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let running = process::Running::new();
        process::serve(listener, axum::Router::new(), &running, None).expect("served");
        let http = pinned_client(MANAGER_HOST, Arc::new(|_| true)).expect("a client");
        let url = format!("https://{address}");
        let asked = wire::ManagerClient::new(http, &url).renew().await;
        let error = asked.expect_err("no TLS");
        assert_eq!(handshake_fault(&error), Some(HandshakeFault::NoTls), "{error:?}");
        insta::assert_snapshot!(explained(&error), @"the server does not speak TLS: write the manager's peer port, https://host:8443");
        running.stopping().cancel();
    }

    #[test]
    fn flags_that_differ_from_the_certificate_are_refused() {
        let node = Authority::new().member(Role::Node, "edge");
        let expecting = |role, cluster: Option<&str>| {
            let cluster = cluster.map(|cluster| cluster.parse().expect("a name"));
            check(&node.membership, &ExpectedIdentity { role, cluster })
        };
        assert!(expecting(None, None).is_ok());
        assert!(expecting(Some(Role::Node), Some("edge")).is_ok());
        let seed = expecting(Some(Role::Seed), None).expect_err("a node");
        insta::assert_snapshot!(seed, @"--seed differs from this peer's certificate, which says node: leave the flag out, or create a join token with `stoker token create --scope seed` and join with an empty data folder");
        let elsewhere = expecting(None, Some("default")).expect_err("another cluster");
        insta::assert_snapshot!(elsewhere, @"--cluster default differs from this peer's certificate, which says edge: leave the flag out, or create a join token with `stoker token create --scope node --cluster default` and join with an empty data folder");
    }

    #[tokio::test]
    async fn without_membership_and_token_the_error_says_how_to_join() {
        let folder = tempfile::tempdir().expect("a folder");
        let clock: Clock = Arc::new(|| 0);
        let manager = "https://127.0.0.1:1";
        let joined = membership(folder.path(), manager, "node", Joining::Token(None), clock).await;
        let Err(error) = joined else {
            panic!("a peer started without a membership");
        };
        insta::assert_snapshot!(error, @"this peer has not joined a manager: create a join token there with `stoker token create --scope node` (or seed), and start the peer with --join-token-file FILE");
    }
}
