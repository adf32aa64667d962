//! `warm-large`, `warm-small` and `warm-ranges`: what a peer holds, beside nginx over the same files. Each
//! round measures all contenders.

use std::time::Duration;

use world::nginx::Mover;
use world::{Nginx, NginxSpec, Peer, PeerSpec, Usage};

use crate::measure::{Requests, Sample, Samples, curl, streams, wrk};
use crate::setup::{ServingSetup, digests, sealed_path, served, store_of};
use crate::table::Row;

const ROUNDS: usize = 5;
const BIG: u64 = 1 << 30;
const MIDDLE: u64 = 256 << 20;
pub(crate) const SMALL: u64 = 64 << 10;
pub(crate) const SMALL_ONES: usize = 200;
const LASTS: Duration = Duration::from_secs(4);
/// Ranges that are requested in turn.
const PLACES: u64 = 4_096;
const PAGE: u64 = 4_096;

/// One peer that holds everything, and nginx in both modes over its store.
struct Warm {
    setup: ServingSetup,
    peer: Peer,
    sendfile: Nginx,
    read_write: Nginx,
}

impl Warm {
    async fn new() -> Self {
        let setup = ServingSetup::new().await;
        let peer = PeerSpec::seed("peer").start(&setup.manager).await;
        let over = |mover| NginxSpec::new(mover).root(store_of(&peer)).start();
        let (sendfile, read_write) = (over(Mover::Sendfile).await, over(Mover::ReadWrite).await);
        Self {
            setup,
            peer,
            sendfile,
            read_write,
        }
    }

    /// Puts objects of these sizes into the store and the page cache.
    async fn hold(&self, seed: u64, sizes: impl IntoIterator<Item = u64>) -> Vec<String> {
        let image = served(&self.setup, seed, sizes);
        let digests = digests(&image);
        for digest in &digests {
            curl(None, &self.setup.url(&self.peer, digest), &[]).await;
        }
        for digest in &digests {
            let file = store_of(&self.peer).join(sealed_path(digest).trim_start_matches('/'));
            world::eventually("an object is sealed", Duration::from_secs(60), async || {
                file.is_file().then_some(())
            })
            .await;
        }
        digests
    }
}

/// The runs of the three contenders.
#[derive(Default)]
struct Contenders {
    ours: Samples,
    sendfile: Samples,
    read_write: Samples,
}

impl Contenders {
    /// The faster nginx, by this measure.
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

/// 1 GiB, one stream and four.
pub(crate) async fn large() -> Vec<Row> {
    let warm = Warm::new().await;
    let digest = &warm.hold(1, [BIG]).await[0];
    let ours = warm.setup.url(&warm.peer, digest);
    let path = sealed_path(digest);
    let mut rows = Vec::new();
    for readers in [1, 4] {
        let mut runs = Contenders::default();
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
        let scenario = format!("warm-large: GET of 1 GiB, {readers} x curl");
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

/// Many small objects.
pub(crate) async fn small_objects() -> Vec<Row> {
    let warm = Warm::new().await;
    let digests = warm.hold(4, vec![SMALL; SMALL_ONES]).await;
    let ours = digests.iter().map(|digest| (warm.setup.path(digest), None));
    let theirs = digests.iter().map(|digest| (sealed_path(digest), None));
    let runs = warm
        .load(&Requests(ours.collect()), &Requests(theirs.collect()))
        .await;
    let scenario = "warm-small: 200 blobs of 64 KiB, wrk, 8 connections";
    vec![runs.row(scenario, "/s", 0.8, |run| run.requests / run.seconds)]
}

/// Ranges of a large object.
pub(crate) async fn ranges() -> Vec<Row> {
    let warm = Warm::new().await;
    let digest = &warm.hold(5, [MIDDLE]).await[0];
    let parts = || {
        (0..PLACES).map(|number| {
            // An order far from that of the file, the same for all contenders.
            let begin = number.wrapping_mul(2_654_435_761) % ((MIDDLE - SMALL) / PAGE) * PAGE;
            Some(format!("bytes={begin}-{}", begin + SMALL - 1))
        })
    };
    let ours = parts().map(|part| (warm.setup.path(digest), part)).collect();
    let theirs = parts().map(|part| (sealed_path(digest), part)).collect();
    let runs = warm.load(&Requests(ours), &Requests(theirs)).await;
    let scenario = "warm-ranges: 64 KiB ranges of 256 MiB, wrk, 8 connections";
    vec![runs.row(scenario, "/s", 0.8, |run| run.requests / run.seconds)]
}

impl Warm {
    async fn load(&self, ours: &Requests, theirs: &Requests) -> Contenders {
        let folder = crate::setup::in_memory();
        let (our_script, their_script) = (folder.path().join("ours.lua"), folder.path().join("theirs.lua"));
        ours.script(&our_script);
        theirs.script(&their_script);
        let mut runs = Contenders::default();
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
