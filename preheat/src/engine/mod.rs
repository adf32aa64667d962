//! What every step uses: the database, the queue's lanes and kinds, effects, metrics, secrets.

pub(crate) mod commit;
pub(crate) mod credentials;
pub(crate) mod effects;
pub(crate) mod gauges;
pub(crate) mod metrics;
pub(crate) mod preheater;
pub(crate) mod secret_box;
pub(crate) mod spans;
pub(crate) mod step;
pub(crate) mod submission;
pub(crate) mod work;
