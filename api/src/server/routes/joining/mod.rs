//! How a peer gets its certificate: once with a join token, then with the certificate before.

pub(crate) mod join;
pub(crate) mod renew;
