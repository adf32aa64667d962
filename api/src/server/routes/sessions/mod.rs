//! What peers call. Paths and bodies are the `wire` crate's; peers call the manager and never the other way.

pub(crate) mod answer;
pub(crate) mod credential;
pub(crate) mod hello;
pub(crate) mod holdings;
pub(crate) mod parents;
pub(crate) mod progress;
pub(crate) mod settle;
pub(crate) mod work;
