pub(crate) fn work(_: &crate::Parent) {}
