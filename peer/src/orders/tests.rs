//! Sessions against a manager that says what a test wants.

mod cancelling;
mod checks;
mod credentials;
mod lots;
mod questions;
mod support;
