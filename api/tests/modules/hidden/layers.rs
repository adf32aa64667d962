use crate::Sum;

pub struct Layer(pub Sum);
