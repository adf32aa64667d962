//! Sessions with a fake manager that each test controls.

mod cancelling;
mod checks;
mod credentials;
mod lots;
mod questions;
mod support;
