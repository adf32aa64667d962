//! The tables at the end of the demo: bytes by source, times, and commands to try next.

use std::time::Duration;

use super::super::output::{self, Table};
use super::pull::Pull;
use super::registry::SampleRegistry;
use api::types::{ObjectBody, PlacementBody};

pub(crate) struct Closing<'a> {
    pub(crate) registry: &'a SampleRegistry,
    pub(crate) objects: &'a [ObjectBody],
    pub(crate) pulls: &'a [Pull],
    pub(crate) preheat_took: Duration,
}

impl Closing<'_> {
    pub(crate) fn say(&self, took: Duration) {
        output::say("\n5. Where the bytes came from:\n");
        self.peers().say();
        output::say("");
        self.layers().say();
        let given = output::bytes(self.registry.bytes());
        let pulled = output::bytes(self.pulls.iter().map(|pull| pull.bytes).sum());
        output::say(format!(
            "\nThe registry sent {given} and was then stopped. After that, the nodes pulled {pulled}."
        ));
        output::say(format!("All of this took {:.0} s.", took.as_secs_f64()));
        output::say(NEXT);
    }

    /// The claim of the demo: the registry serves each layer once, for any number of peers.
    pub(crate) fn most_gets_of_a_layer(&self) -> u64 {
        let layers = self
            .registry
            .image()
            .objects
            .iter()
            .filter(|object| object.is_layer());
        layers
            .map(|layer| self.registry.gets_of(layer.digest.as_str()))
            .max()
            .unwrap_or_default()
    }

    fn peers(&self) -> Table {
        let mut table = Table::new(["PEER", "FROM REGISTRY", "FROM PEERS", "TIME"]);
        for seed in self.seeds() {
            table.row([
                seed.clone(),
                output::bytes(self.sum(&seed, |placement| placement.bytes_from_registry)),
                output::bytes(self.sum(&seed, |placement| placement.bytes_from_peers)),
                seconds(self.preheat_took),
            ]);
        }
        for pull in self.pulls {
            // The registry had stopped: every byte came from the seeds.
            table.row([
                pull.node.clone(),
                output::bytes(0),
                output::bytes(pull.bytes),
                seconds(pull.took),
            ]);
        }
        table
    }

    fn layers(&self) -> Table {
        let mut table = Table::new(["AT THE REGISTRY", "SIZE", "GETS", "BYTES"]);
        for object in &self.registry.image().objects {
            let digest = object.digest.as_str();
            table.row([
                object.label.clone(),
                output::bytes(object.content.size()),
                self.registry.gets_of(digest).to_string(),
                output::bytes(self.registry.bytes_of(digest)),
            ]);
        }
        table
    }

    fn seeds(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .placements()
            .map(|placement| placement.peer_name.clone())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    fn sum(&self, peer: &str, of: impl Fn(&PlacementBody) -> u64) -> u64 {
        self.placements()
            .filter(|placement| placement.peer_name == peer)
            .map(of)
            .sum()
    }

    fn placements(&self) -> impl Iterator<Item = &PlacementBody> {
        self.objects.iter().flat_map(|object| &object.placements)
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

const NEXT: &str = "
(The manager also reads the index and the manifests, to learn which objects to place.)

What to try next:
  stoker up --data-dir ./stoker-data        manager and peer on one machine, to keep
  export STOKER_TOKEN_FILE=./stoker-data/admin.token
  stoker preheat --wait nginx:1.27          preheat an image of your own
  stoker preheats                           all preheats and their state
  stoker token create --name harbor --scope preheat      a token for Harbor's provider \"Dragonfly\"
  stoker --help                             all commands";
