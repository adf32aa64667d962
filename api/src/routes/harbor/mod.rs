//! What Harbor speaks. Its client is strict about types and words: ids are integers, states are the three words
//! it knows, times are RFC 3339; whatever else an answer holds it ignores.

pub(crate) mod dragonfly_jobs;
