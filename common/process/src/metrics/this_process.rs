//! Kernel metrics of this process, read on scrape, and the wake-up lag of the runtime.

use std::fs;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::{Instant, sleep};

use super::{Metrics, SECONDS};
use crate::Running;

const LAG_EVERY: Duration = Duration::from_secs(1);

/// Kernel ticks per second as user space sees them (`USER_HZ`), 100 on every Linux.
const TICKS: f64 = 100.0;

pub(crate) fn register(metrics: &Metrics, running: &Running) {
    let lag = Histogram::new(SECONDS);
    let version: Family<[(&'static str, &'static str); 1], Gauge> = Family::default();
    version
        .get_or_create(&[("version", env!("CARGO_PKG_VERSION"))])
        .set(1);
    metrics.register(|registry: &mut Registry| {
        registry.register("stoker_build_info", "The version that runs, as a label", version);
        registry.register(
            "stoker_runtime_lag_seconds",
            "Delay with which the runtime woke a task after a sleep of one second",
            lag.clone(),
        );
        registry.register_collector(Box::new(ThisProcess));
    });
    running.spawn(measure_lag(lag, running.clone()));
}

async fn measure_lag(lag: Histogram, running: Running) {
    loop {
        let due = Instant::now() + LAG_EVERY;
        tokio::select! {
            () = sleep(LAG_EVERY) => lag.observe(Instant::now().saturating_duration_since(due).as_secs_f64()),
            () = running.stopping().cancelled() => return,
        }
    }
}

#[derive(Debug)]
struct ThisProcess;

impl Collector for ThisProcess {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        if let Some(seconds) = cpu_seconds() {
            let counter = ConstCounter::new(seconds);
            let kind = counter.metric_type();
            counter.encode(encoder.encode_descriptor(
                "process_cpu_seconds",
                "CPU time of this process.",
                None,
                kind,
            )?)?;
        }
        let gauges = [
            (
                "process_resident_memory_bytes",
                "Resident memory of this process.",
                resident_bytes(),
            ),
            ("process_open_fds", "Open file descriptors.", open_descriptors()),
            (
                "process_max_fds",
                "Limit of open file descriptors.",
                most_descriptors(),
            ),
            (
                "process_start_time_seconds",
                "Start time of this process, in Unix time.",
                started(),
            ),
        ];
        for (name, help, value) in gauges {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(value);
            let kind = gauge.metric_type();
            gauge.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        Ok(())
    }
}

/// Reads a field of `/proc/self/stat`, numbered as in proc(5), behind the name, which may contain spaces.
fn stat(field: usize) -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, behind) = text.rsplit_once(')')?;
    behind.split_whitespace().nth(field - 3)?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    Some((stat(14)? + stat(15)?) / TICKS)
}

fn started() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let booted = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(booted.trim().parse::<f64>().ok()? + stat(22)? / TICKS)
}

fn resident_bytes() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

fn open_descriptors() -> Option<f64> {
    // One of them is the open folder itself.
    let open = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    u32::try_from(open).ok().map(f64::from)
}

fn most_descriptors() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Format;

    #[tokio::test]
    async fn a_scrape_reads_the_kernels_values() {
        let (metrics, running) = (Metrics::new(), Running::new());
        register(&metrics, &running);
        let text = metrics.text(Format::Prometheus);
        for name in [
            "process_cpu_seconds_total ",
            "process_resident_memory_bytes ",
            "process_open_fds ",
            "process_max_fds ",
            "process_start_time_seconds ",
            "stoker_build_info{version=",
        ] {
            let line = text.lines().find(|line| line.starts_with(name));
            assert!(line.is_some_and(|line| !line.ends_with(" 0")), "{name} in {text}");
        }
        running.drain(Duration::from_secs(5)).await;
    }
}
