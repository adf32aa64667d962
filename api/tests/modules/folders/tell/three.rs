pub(crate) fn middle(_: &crate::ask::two::Two) {}
