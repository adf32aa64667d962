//! A peer calls in. Its address is the one that the connection comes from, unless it advertises another.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use preheat::HelloError;
use wire::{Hello, Welcome};

use crate::app::App;
use crate::extract::{Allowed, AsPeer, Body};
use crate::problem::Problem;

pub(crate) async fn hello(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    allowed: Allowed<AsPeer>,
    Body(hello): Body<Hello>,
) -> Result<Json<Welcome>, Problem> {
    // An IPv4 peer on a dual-stack listener is still an IPv4 peer to the others.
    let seen_ip = from.ip().to_canonical();
    let token = allowed.caller.token.as_deref();
    let welcome = preheat::hello(app.preheater(), hello, seen_ip, token, app.peer_signer()).await;
    welcome.map(Json).map_err(not_welcome)
}

fn not_welcome(fault: HelloError) -> Problem {
    match fault {
        HelloError::Version { .. } | HelloError::BadName { .. } => Problem::invalid(format!("{fault}.")),
        HelloError::Storage(cause) => Problem::storage(&cause),
    }
}
