pub(crate) struct Two;
