//! End to end, in process: the real front, a real share, and a registry that can be stopped.

mod access;
mod authorize;
mod clients;
mod fuzz;
mod hostile_seed;
mod lists;
mod outcome;
mod ranges;
mod reach;
mod serving;
mod support;
mod tags;
mod tokens;
