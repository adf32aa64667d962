//! What documents are taken and which are refused.
