//! Harbor's provider "Kraken", every version: health, and the path that it shares with registries' own notifications.

pub(crate) mod health;
