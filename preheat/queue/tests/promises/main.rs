//! What the queue promises, on a real database: SQLite files, or a server named by `STOKER_TEST_DATABASE`.

mod claiming;
mod counting;
mod leases;
mod lots;
mod metrics;
mod together;
mod turns;
mod working;
mod world;
mod writing;
