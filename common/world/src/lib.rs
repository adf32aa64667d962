//! Fixtures for tests and benchmarks: generated images, a real docker-registry, a real containerd, our programs as real
//! processes, and a client that behaves like Harbor.
//!
//! **Invariant:** everything that is started here listens on 127.0.0.1 or in its own network namespace, has its own
//! folder, and is gone when its value is dropped. A program that is not installed is a failure that says how to install
//! it, never a skip.
//!
//! Non-goals: assertions, which belong to the tests. No crate of ours is linked in: a test that checks our code with our
//! code proves little.

mod clock;
mod collector;
mod counting_registry;
mod faulty_link;
mod files;
mod podman;
mod port;
mod program;
mod registry_clients;
mod serving;
mod small_disk;
mod tls;
mod tools;
mod two_doors;
mod usage;

pub mod containerd;
pub mod harbor;
mod harbor_core;
pub mod http;
pub mod image;
pub mod jaeger;
pub mod net;
pub mod nginx;
pub mod programs;
pub mod prometheus;
pub mod registry;
pub mod secrets;
pub mod sha256sum;

pub use collector::{Collector, Mood};
pub use containerd::Containerd;
pub use counting_registry::{CountingRegistry, Counts, Refusing};
pub use faulty_link::{FaultyLink, LinkFaults};
pub use harbor::Harbor;
pub use harbor_core::{HarborCore, HarborCoreSpec};
pub use image::{Image, ImageSpec, LayerSpec};
pub use jaeger::Jaeger;
pub use net::{Host, Net, Rate};
pub use nginx::{Nginx, NginxSpec};
pub use podman::Podman;
pub use port::Port;
pub use program::{Program, eventually};
pub use programs::{Manager, ManagerSpec, Peer, PeerSpec};
pub use prometheus::Prometheus;
pub use registry::Registry;
pub use registry_clients::RegistryClients;
pub use small_disk::SmallDisk;
pub use tls::{Authority, Identity};
pub use two_doors::TwoDoors;
pub use usage::Usage;
