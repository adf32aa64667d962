//! Notices for receivers (webhooks): written with the change that they report, sent afterwards.

pub(crate) mod notices;
