//! Why an image is on a node, or is not.

pub(crate) mod get;
