//! P1, P4 and P5, warm: what a peer holds, beside nginx over the very same files. Each round goes through all contenders.

use std::time::Duration;

use world::nginx::Mover;
use world::{Nginx, NginxSpec, Peer, PeerSpec, Usage};

use crate::measure::{Requests, Sample, Samples, curl, streams, wrk};
use crate::setup::{Stage, digests, sealed_path, served, store_of};
use crate::table::Row;

const ROUNDS: usize = 5;
const BIG: u64 = 1 << 30;
const MIDDLE: u64 = 256 << 20;
pub(crate) const SMALL: u64 = 64 << 10;
pub(crate) const SMALL_ONES: usize = 200;
const LASTS: Duration = Duration::from_secs(4);
/// Random places of the object that are asked for in turn.
const PLACES: u64 = 4_096;
const PAGE: u64 = 4_096;

/// One peer that holds everything, and nginx in both modes over its store.
struct Warm {
    stage: Stage,
    peer: Peer,
    sendfile: Nginx,
    read_write: Nginx,
}

impl Warm {
    async fn new() -> Self {
        let stage = Stage::new().await;
        let peer = PeerSpec::seed("peer").start(&stage.manager).await;
        let over = |mover| NginxSpec::new(mover).root(store_of(&peer)).start();
        let (sendfile, read_write) = (over(Mover::Sendfile).await, over(Mover::ReadWrite).await);
        Self {
            stage,
            peer,
            sendfile,
            read_write,
        }
    }

    /// Has objects of these sizes in the store, and in the page cache.
    async fn hold(&self, seed: u64, sizes: impl IntoIterator<Item = u64>) -> Vec<String> {
        let image = served(&self.stage, seed, sizes);
        let digests = digests(&image);
        for digest in &digests {
            curl(None, &self.stage.url(&self.peer, digest), &[]).await;
        }
        for digest in &digests {
            let file = store_of(&self.peer).join(sealed_path(digest).trim_start_matches('/'));
            world::eventually("an object gets its name", Duration::from_secs(60), async || {
                file.is_file().then_some(())
            })
            .await;
        }
        digests
    }
}

/// The three contenders' runs.
#[derive(Default)]
struct Three {
    ours: Samples,
    sendfile: Samples,
    read_write: Samples,
}

impl Three {
    /// The nginx that did more of this.
    fn better(&self, of: impl Fn(&Sample) -> f64) -> (&'static str, &Samples) {
        if self.sendfile.median(&of) >= self.read_write.median(&of) {
            ("nginx sendfile", &self.sendfile)
        } else {
            ("nginx read+write 2 MiB", &self.read_write)
        }
    }

    fn row(&self, scenario: &str, unit: &str, goal: f64, of: impl Fn(&Sample) -> f64 + Copy) -> Row {
        let (name, reference) = self.better(of);
        let ratio = self.ours.ratio(reference, of);
        Row {
            scenario: format!("{scenario}, median of {ROUNDS}"),
            ours: format!("{:.2} {unit}", self.ours.median(of)),
            reference: format!("{name}: {:.2} {unit}", reference.median(of)),
            ratio: format!("{ratio:.2}"),
            goal: format!(">= {goal}"),
            met: ratio >= goal,
            processor: format!(
                "{:.2}, {:.2} ({:.2} x)",
                self.ours.processor_each_gib(),
                reference.processor_each_gib(),
                self.ours.ratio(reference, |run| run.processor / run.bytes)
            ),
            memory: format!("{} MiB, {} MiB", self.ours.peak_mib(), reference.peak_mib()),
            first_byte: String::new(),
        }
    }
}

/// P1: 1 GiB, one stream and four.
pub(crate) async fn one_gibibyte() -> Vec<Row> {
    let warm = Warm::new().await;
    let digest = &warm.hold(1, [BIG]).await[0];
    let ours = warm.stage.url(&warm.peer, digest);
    let path = sealed_path(digest);
    let mut rows = Vec::new();
    for readers in [1, 4] {
        let mut runs = Three::default();
        for _ in 0..ROUNDS {
            let many = |url: &str| vec![url.to_owned(); readers];
            Usage::forget_peak(warm.peer.pid());
            runs.ours
                .0
                .push(streams(&many(&ours), || warm.peer.usage()).await);
            for (nginx, runs) in [
                (&warm.sendfile, &mut runs.sendfile),
                (&warm.read_write, &mut runs.read_write),
            ] {
                let url = nginx.url() + &path;
                runs.0.push(streams(&many(&url), || nginx.usage()).await);
            }
        }
        let scenario = format!("P1 warm GET of 1 GiB, {readers} x curl");
        let mut row = runs.row(&scenario, "GB/s", 0.95, |run| run.bytes / run.seconds / 1e9);
        let (_, reference) = runs.better(|run| run.bytes / run.seconds);
        let (first, theirs) = (runs.ours.first_byte_ms(), reference.first_byte_ms());
        let processor = runs.ours.ratio(reference, |run| run.processor / run.bytes);
        row.first_byte = format!("{first:.2} ms, {theirs:.2} ms");
        row.goal += ", <= 1.3 x CPU, first byte <= 1 ms";
        row.met &= processor <= 1.3 && (readers > 1 || first <= 1.0);
        rows.push(row);
    }
    rows
}

/// P4 warm: many small objects.
pub(crate) async fn small_objects() -> Vec<Row> {
    let warm = Warm::new().await;
    let digests = warm.hold(4, vec![SMALL; SMALL_ONES]).await;
    let ours = digests.iter().map(|digest| (warm.stage.path(digest), None));
    let theirs = digests.iter().map(|digest| (sealed_path(digest), None));
    let runs = warm
        .load(&Requests(ours.collect()), &Requests(theirs.collect()))
        .await;
    let scenario = "P4 200 blobs of 64 KiB warm, wrk, 8 connections";
    vec![runs.row(scenario, "/s", 0.8, |run| run.requests / run.seconds)]
}

/// P5 warm: parts of a large one.
pub(crate) async fn ranges() -> Vec<Row> {
    let warm = Warm::new().await;
    let digest = &warm.hold(5, [MIDDLE]).await[0];
    let parts = || {
        (0..PLACES).map(|number| {
            // Any order that is far from the order of the file, and the same for all.
            let begin = number.wrapping_mul(2_654_435_761) % ((MIDDLE - SMALL) / PAGE) * PAGE;
            Some(format!("bytes={begin}-{}", begin + SMALL - 1))
        })
    };
    let ours = parts().map(|part| (warm.stage.path(digest), part)).collect();
    let theirs = parts().map(|part| (sealed_path(digest), part)).collect();
    let runs = warm.load(&Requests(ours), &Requests(theirs)).await;
    let scenario = "P5 64 KiB ranges of 256 MiB warm, wrk, 8 connections";
    vec![runs.row(scenario, "/s", 0.8, |run| run.requests / run.seconds)]
}

impl Warm {
    async fn load(&self, ours: &Requests, theirs: &Requests) -> Three {
        let folder = crate::setup::in_memory();
        let (our_script, their_script) = (folder.path().join("ours.lua"), folder.path().join("theirs.lua"));
        ours.script(&our_script);
        theirs.script(&their_script);
        let mut runs = Three::default();
        for _ in 0..ROUNDS {
            Usage::forget_peak(self.peer.pid());
            let base = self.peer.front_url();
            runs.ours
                .0
                .push(wrk(&base, &our_script, LASTS, || self.peer.usage()).await);
            for (nginx, runs) in [
                (&self.sendfile, &mut runs.sendfile),
                (&self.read_write, &mut runs.read_write),
            ] {
                runs.0
                    .push(wrk(&nginx.url(), &their_script, LASTS, || nginx.usage()).await);
            }
        }
        runs
    }
}
