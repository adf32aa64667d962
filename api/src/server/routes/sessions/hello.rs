//! Registers a peer. The certificate holds its identity; its address is that of the connection, unless it advertises
//! another.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::{Extension, Json};
use preheat::HelloError;
use wire::{Hello, PeerCertificate, Welcome};

use crate::server::app::App;
use crate::server::extract::Body;
use crate::server::problem::{Kind, Problem};

pub(crate) async fn hello(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Extension(caller): Extension<PeerCertificate>,
    Body(hello): Body<Hello>,
) -> Result<Json<Welcome>, Problem> {
    // An IPv4 peer on a dual-stack listener is still an IPv4 peer to the others.
    let seen_ip = from.ip().to_canonical();
    let welcome = preheat::hello(app.preheater(), &caller.identity, hello, seen_ip).await;
    welcome.map(Json).map_err(not_welcome)
}

fn not_welcome(fault: HelloError) -> Problem {
    match fault {
        HelloError::Version { .. } | HelloError::BadName { .. } => Problem::invalid(format!("{fault}.")),
        HelloError::Removed => Problem::not_admitted(format!("{fault}.")),
        HelloError::Full(_) | HelloError::TooManyClusters(_) => {
            Problem::new(Kind::Conflict, format!("{fault}."))
        }
        HelloError::Storage(cause) => Problem::storage(&cause),
    }
}
