//! Reads what this version knows of a type that refuses unknown fields in requests.
//!
//! **Invariant:** the client accepts answers of a newer manager: a field that it does not know is no error.

use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::{Map, Value};

/// For `deserialize_with`.
pub(super) fn known_fields<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let fields = Map::deserialize(deserializer)?;
    T::deserialize(KnownFields(fields)).map_err(D::Error::custom)
}

/// The same for a field that may be `null` or missing.
pub(super) fn known_fields_if_any<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let fields = Option::<Map<String, Value>>::deserialize(deserializer)?;
    let read = fields.map(|fields| T::deserialize(KnownFields(fields)));
    read.transpose().map_err(D::Error::custom)
}

struct KnownFields(Map<String, Value>);

impl<'de> Deserializer<'de> for KnownFields {
    type Error = serde_json::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.retain(|key, _| fields.contains(&key.as_str()));
        Value::Object(self.0).deserialize_struct(name, fields, visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        Value::Object(self.0).deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::types::{ClusterLimitsBody, CreatePreheat, PeerSelection, PreheatBody};

    #[test]
    fn what_a_newer_manager_adds_to_an_answer_is_no_error() {
        let answer = json!({
            "cluster": "default", "as_configured": true, "each_seed": {}, "each_node": {}, "new": 1,
            "limits": {"peer_incoming": "1MiB/s", "new": {"a": 1}},
        });
        let read: ClusterLimitsBody = serde_json::from_value(answer).expect("read");
        assert_eq!(read.limits.peer_incoming.as_deref(), Some("1MiB/s"));
    }

    #[test]
    fn a_preheat_is_read_with_fields_of_a_newer_manager() {
        let mut answer = json!({
            "id": 7, "image": "h/a:1", "url": "", "registry": "h", "repository": "a", "reference": "1",
            "scope": "all_peers", "clusters": [], "platforms": [], "state": "placing", "public": false,
            "objects_total": 0, "image_bytes": 0, "bytes_total": 0, "bytes_done": 0, "asked_by": "api",
            "placements": {"total": 1, "open": 1, "verified": 0, "failed": 0, "new": 0},
            "created_at": "2026-11-21T10:18:08.045Z", "updated_at": "2026-11-21T10:18:08.045Z",
            "priority": "normal", "attempt": 1, "notes": [], "new": [1],
        });
        let read: PreheatBody = serde_json::from_value(answer.clone()).expect("without `peers`");
        assert_eq!(read.peers, None);
        answer["peers"] = json!({"count": 3, "new": true});
        let read: PreheatBody = serde_json::from_value(answer).expect("with a new way to select");
        let count = PeerSelection {
            count: Some(3),
            ..PeerSelection::default()
        };
        assert_eq!(read.peers, Some(count));
    }

    #[test]
    fn a_request_with_an_unknown_field_is_refused() {
        for unknown in [
            json!({"image": "a", "new": 1}),
            json!({"image": "a", "peers": {"new": 1}}),
        ] {
            assert!(serde_json::from_value::<CreatePreheat>(unknown).is_err());
        }
    }
}
