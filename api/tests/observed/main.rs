//! What operators see, read back from what they look into: a real Jaeger and a real Prometheus. `make test-all` puts
//! both in place and runs these tests; those that need neither run with all others.

mod documents;
mod expressions;
mod jaeger;
mod prometheus;
mod site;
mod tree;

use std::time::Duration;

/// Long enough for a slow machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
