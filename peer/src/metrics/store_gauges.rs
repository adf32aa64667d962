//! The state of the store at the time of a scrape.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::labels::ReasonLabel;
use store::{RemovalReason, Store, WeakStore};

pub(super) struct StoreGauges(WeakStore);

impl StoreGauges {
    /// Keeps no reference that holds the store open.
    pub(super) fn new(store: &Store) -> Self {
        Self(store.downgrade())
    }
}

impl fmt::Debug for StoreGauges {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("StoreGauges")
    }
}

impl Collector for StoreGauges {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some(store) = self.0.upgrade() else {
            return Ok(());
        };
        let totals = store.totals();
        let gauges = [
            (
                "stoker_store_bytes",
                "Bytes of the objects that this peer holds whole.",
                totals.bytes,
            ),
            (
                "stoker_store_objects",
                "Objects that this peer holds whole.",
                totals.objects,
            ),
            (
                "stoker_store_partial_objects",
                "Objects that are begun and not whole yet.",
                totals.partial_objects,
            ),
        ];
        for (name, help, value) in gauges {
            gauge(&mut encoder, name, help, value)?;
        }
        if let Some(free) = store.disk_free() {
            let help = "Bytes that the disk under the store has left.";
            gauge(&mut encoder, "stoker_store_disk_free_bytes", help, free)?;
        }
        let help = "The most that objects may take: the quota, or the whole disk where there is none.";
        gauge(&mut encoder, "stoker_store_quota_bytes", help, store.capacity())?;
        let help = "Objects for which there was no room, and nothing that might go.";
        let refused =
            encoder.encode_descriptor("stoker_store_rooms_refused", help, None, MetricType::Counter)?;
        ConstCounter::new(store.rooms_refused()).encode(refused)?;
        let help = "Objects that were whole and are gone, by why.";
        let mut removals =
            encoder.encode_descriptor("stoker_store_removals", help, None, MetricType::Counter)?;
        for reason in RemovalReason::ALL {
            let label = ReasonLabel {
                reason: reason.word(),
            };
            ConstCounter::new(store.removed(reason)).encode(removals.encode_family(&label)?)?;
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}
