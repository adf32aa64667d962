//! Sessions against a manager that says what a test wants.

mod lots;
mod questions;
mod support;
