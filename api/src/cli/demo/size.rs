//! Sizes with units: `256MiB`, `1GiB`.

use std::str::FromStr;

const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("G", 1 << 30),
    ("M", 1 << 20),
    ("K", 1 << 10),
    ("B", 1),
];
const SMALLEST: u64 = 1 << 20;
const LARGEST: u64 = 64 << 30;

/// The size of the sample image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(u64);

impl Size {
    pub(crate) fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit = UNITS
            .iter()
            .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
        let (number, unit) = unit.unwrap_or((text, 1));
        number
            .trim()
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(unit))
            .filter(|bytes| (SMALLEST..=LARGEST).contains(bytes))
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a size from 1MiB to 64GiB; write for example 256MiB"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_may_have_a_unit_and_a_space() {
        assert_eq!("8MiB".parse(), Ok(Size(8 << 20)));
        assert_eq!("1 GiB".parse(), Ok(Size(1 << 30)));
        assert_eq!("2097152".parse(), Ok(Size(2 << 20)));
        for wrong in ["", "MiB", "1", "-8MiB", "8MB!", "99999999999GiB", "65GiB"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }
}
