//! The manager's HTTP interface, over real sockets, on a real database in a folder of its own.

mod auth;
mod bad_input;
mod endpoints;
mod explain;
mod generations;
mod go_client;
mod harbor;
mod hostile_node;
mod images;
mod joining;
mod labels;
mod life;
mod native;
mod notifications;
mod openapi;
mod raw;
mod registry;
mod secrets;
mod seed;
mod tokens;
mod upgrade;
mod webhooks;
mod world;
