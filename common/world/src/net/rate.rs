//! How fast a link is.

/// How fast a link is, in bytes of frames a second (what a wire of that many bits carries, headers included).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(u64);

impl Rate {
    pub const fn megabytes(each_second: u64) -> Self {
        Self(each_second * 1_000_000)
    }

    pub const fn bytes_a_second(self) -> u64 {
        self.0
    }
}
