//! Returns the peers of a cluster that hold a whole object.

use axum::Json;
use axum::extract::State;
use oci::Digest;
use uuid::Uuid;
use wire::SeedAddress;

use crate::server::app::App;
use crate::server::extract::Parts;
use crate::server::problem::Problem;

pub(crate) async fn parents(
    State(app): State<App>,
    Parts((session, digest)): Parts<(Uuid, String)>,
) -> Result<Json<Vec<SeedAddress>>, Problem> {
    let digest: Digest = digest
        .parse()
        .map_err(|fault| Problem::invalid(format!("{fault}.")))?;
    Ok(Json(
        preheat::parents(app.preheater(), session, digest.as_str()).await?,
    ))
}
