//! A parent that uses its child, which uses a type of the parent.

mod child;

pub struct Parent;

pub fn begin() {
    child::work(&Parent);
}
