pub(crate) fn end() {}
