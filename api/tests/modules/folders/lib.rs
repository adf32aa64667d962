//! Two folders: a file of each uses a file of the other, and no two files use each other.

mod ask;
mod tell;
