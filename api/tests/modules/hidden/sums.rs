pub struct Sum;

pub fn of(_: &super::Layer) -> Sum {
    Sum
}
