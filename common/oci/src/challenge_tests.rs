//! Hostile and honest challenges.
