//! Bytes in a message, as base64.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A small object that a message carries. Its receiver verifies it by its digest.
#[derive(Clone, PartialEq, Eq)]
pub struct EmbeddedBytes(Vec<u8>);

impl EmbeddedBytes {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for EmbeddedBytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "EmbeddedBytes({})", self.0.len())
    }
}

impl Serialize for EmbeddedBytes {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for EmbeddedBytes {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let text = String::deserialize(reader)?;
        let bytes = BASE64_STANDARD.decode(text);
        bytes.map(Self).map_err(|_| de::Error::custom("it is not base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_as_they_were_sent() {
        let sent = EmbeddedBytes::new(vec![0, 255, 10]);
        let json = serde_json::to_string(&sent).unwrap();
        assert_eq!(json, "\"AP8K\"");
        assert_eq!(serde_json::from_str::<EmbeddedBytes>(&json).unwrap(), sent);
        assert!(serde_json::from_str::<EmbeddedBytes>("\"?\"").is_err());
    }
}
