//! The clients and the samples of their runs: `curl` for streams, `wrk` for many small responses. Neither is
//! the limit: against nginx they are several times faster than what is measured here.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::process::Command;
use world::{Host, Usage};

use crate::load::median;

pub(crate) const GIB: f64 = 1_073_741_824.0;

/// One run of one contender.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    pub(crate) bytes: f64,
    pub(crate) requests: f64,
    /// The slowest of the run.
    pub(crate) first_byte: f64,
    /// Processor seconds of the serving processes.
    pub(crate) processor: f64,
    pub(crate) peak_bytes: u64,
}

/// All runs of one contender.
#[derive(Default)]
pub(crate) struct Samples(pub(crate) Vec<Sample>);

impl Samples {
    pub(crate) fn median(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        median(&mut self.0.iter().map(of).collect::<Vec<f64>>())
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.median(|run| run.seconds)
    }

    pub(crate) fn processor_each_gib(&self) -> f64 {
        self.median(|run| run.processor / (run.bytes / GIB))
    }

    pub(crate) fn first_byte_ms(&self) -> f64 {
        self.median(|run| run.first_byte * 1e3)
    }

    pub(crate) fn peak_mib(&self) -> u64 {
        let peaks = self.0.iter().map(|run| run.peak_bytes);
        peaks.max().unwrap_or_default() >> 20
    }

    /// The median of the ratios run by run, so that other work of the machine hits both.
    pub(crate) fn ratio(&self, reference: &Self, of: impl Fn(&Sample) -> f64) -> f64 {
        let pairs = self.0.iter().zip(&reference.0);
        median(
            &mut pairs
                .map(|(ours, theirs)| of(ours) / of(theirs))
                .collect::<Vec<f64>>(),
        )
    }
}

/// The figures of one download by `curl` to /dev/null.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fetched {
    pub(crate) bytes: f64,
    pub(crate) seconds: f64,
    pub(crate) first_byte: f64,
}

const CURL_FORMAT: &str = "%{http_code} %{size_download} %{time_starttransfer} %{time_total}";

/// Downloads once, from this machine or another. Any failure fails the benchmark.
pub(crate) async fn curl(host: Option<&Host>, url: &str, more: &[&str]) -> Fetched {
    let fetched = try_curl(host, url, more).await;
    fetched.unwrap_or_else(|why| panic!("{url}: {why}"))
}

pub(crate) async fn try_curl(host: Option<&Host>, url: &str, more: &[&str]) -> Result<Fetched, String> {
    let mut command = host.map_or_else(
        || Command::new("curl"),
        |host| Command::from(host.command("curl")),
    );
    command
        .args(["-sS", "-o", "/dev/null", "-w", CURL_FORMAT])
        .args(more)
        .arg(url);
    let output = command
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| error.to_string())?;
    let output_text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<f64> = output_text
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    match numbers.as_slice() {
        [200.0 | 206.0, bytes, first_byte, seconds] if output.status.success() => Ok(Fetched {
            bytes: *bytes,
            seconds: *seconds,
            first_byte: *first_byte,
        }),
        _ => Err(format!(
            "{output_text} {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// Downloads all URLs at once. Includes what the serving processes used meanwhile.
pub(crate) async fn streams(urls: &[String], usage: impl Fn() -> Usage) -> Sample {
    let (before, begin) = (usage(), Instant::now());
    let fetched = join_all(urls.iter().map(|url| curl(None, url, &[]))).await;
    let seconds = begin.elapsed().as_secs_f64();
    Sample {
        // With one download, without the time to start the program.
        seconds: if let [only] = fetched.as_slice() {
            only.seconds
        } else {
            seconds
        },
        bytes: fetched.iter().map(|one| one.bytes).sum(),
        requests: 0.0,
        first_byte: fetched.iter().map(|one| one.first_byte).fold(0.0, f64::max),
        processor: used(before, usage()),
        peak_bytes: usage().peak_bytes,
    }
}

pub(crate) fn used(before: Usage, after: Usage) -> f64 {
    after.processor.saturating_sub(before.processor).as_secs_f64()
}

/// The requests of one load by `wrk`: what follows `GET `, and a `Range` or nothing.
pub(crate) struct Requests(pub(crate) Vec<(String, Option<String>)>);

impl Requests {
    /// Writes a script for `wrk` that sends them in turn. All are built before the first one is sent.
    pub(crate) fn script(&self, file: &Path) {
        let lines = self.0.iter().map(|(path, range)| {
            let range = range
                .as_ref()
                .map(|range| format!(", {{[\"Range\"]=\"{range}\"}}"));
            format!(
                "all[#all+1] = wrk.format(\"GET\", \"{path}\"{})\n",
                range.unwrap_or_default()
            )
        });
        let text = format!(
            "local all = {{}}\nlocal at = 0\nfunction init()\n{}math.randomseed(os.time())\nat = math.random(#all)\nend\n\
             function request() at = at % #all + 1; return all[at] end\n",
            lines.collect::<String>()
        );
        std::fs::write(file, text).expect("a script for wrk");
    }
}

pub(crate) const CONNECTIONS: &str = "8";

/// Sends these requests for `lasts` over 8 connections.
pub(crate) async fn wrk(base: &str, script: &Path, lasts: Duration, usage: impl Fn() -> Usage) -> Sample {
    let before = usage();
    let output = Command::new("wrk")
        .args([
            "-t",
            "2",
            "-c",
            CONNECTIONS,
            "-d",
            &format!("{}s", lasts.as_secs()),
            "-s",
        ])
        .arg(script)
        .arg(base)
        .output()
        .await
        .expect("wrk; install it: make bench-packages");
    let (after, output_text) = (usage(), String::from_utf8_lossy(&output.stdout).into_owned());
    assert!(
        !output_text.contains("Non-2xx") && !output_text.contains("Socket errors"),
        "{base}: {output_text}"
    );
    let (requests, seconds, bytes) =
        read_summary(&output_text).unwrap_or_else(|| panic!("cannot parse the output of wrk: {output_text}"));
    Sample {
        seconds,
        bytes,
        requests,
        first_byte: 0.0,
        processor: used(before, after),
        peak_bytes: after.peak_bytes,
    }
}

/// `  225443 requests in 8.10s, 13.80GB read`
fn read_summary(output_text: &str) -> Option<(f64, f64, f64)> {
    let line = output_text.lines().find(|line| line.contains(" requests in "))?;
    let mut words = line.split_whitespace();
    let requests = words.next()?.parse().ok()?;
    let seconds = words.nth(2)?.trim_end_matches("s,");
    let seconds = match seconds.strip_suffix('m') {
        Some(minutes) => minutes.parse::<f64>().ok()? * 60.0,
        None => seconds.parse().ok()?,
    };
    let bytes = words.next()?;
    let units = [("GB", GIB), ("MB", GIB / 1024.0), ("KB", 1024.0), ("B", 1.0)];
    let bytes = units
        .iter()
        .find_map(|(unit, worth)| Some(bytes.strip_suffix(unit)?.parse::<f64>().ok()? * worth))?;
    Some((requests, seconds, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_wrk_is_read() {
        let output_text = "Running 8s test\n  225443 requests in 8.10s, 13.80GB read\nRequests/sec: 27832\n";
        let (requests, seconds, bytes) = read_summary(output_text).expect("a summary");
        assert!((requests - 225_443.0).abs() < 0.5);
        assert!((seconds - 8.1).abs() < 1e-9);
        assert!((bytes / GIB - 13.8).abs() < 1e-9);
    }
}
