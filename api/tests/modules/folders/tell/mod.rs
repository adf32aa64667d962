mod three;
pub(crate) mod four;
