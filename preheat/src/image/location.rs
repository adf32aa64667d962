//! The location of a preheat's image: under the registry's canonical name, by its configured scheme.

use oci::{BadLocation, ImageReference, Location, Origin, RegistryName, Scheme};

use crate::engine::preheater::Inner;
use crate::rows::preheats;

/// The location that a preheat's row names.
pub(crate) fn of_preheat(inner: &Inner, row: &preheats::Model) -> Result<Location, BadLocation> {
    let text = |registry: &str| {
        let scheme = Scheme::of(row.plain_http);
        format!("{scheme}://{registry}{}/v2/{}", row.base_path, row.repository)
    };
    let location: Location = text(&row.registry).parse()?;
    Ok(canonical(inner, &location))
}

/// The location that a caller names by an image reference.
pub(crate) fn of_image(inner: &Inner, image: &ImageReference) -> Result<Location, BadLocation> {
    Ok(canonical(inner, &image.location()?))
}

/// The same location by plain HTTP, for a registry that a preheat reached by plain HTTP.
pub(crate) fn by_plain_http(location: Location) -> Location {
    let registry: RegistryName = location.registry().clone();
    let origin = Origin {
        scheme: Scheme::Http,
        registry,
        base_path: location.origin.base_path,
    };
    origin.at(location.repository)
}

fn canonical(inner: &Inner, location: &Location) -> Location {
    inner
        .registries
        .canonical_origin(&location.origin)
        .at(location.repository.clone())
}
