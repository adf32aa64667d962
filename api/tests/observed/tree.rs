//! A trace as a text that is the same in every run, and its snapshot in the documentation.

use std::collections::BTreeMap;
use std::path::PathBuf;

use world::jaeger::{Span, Trace};

/// In the order of a preheat's life; siblings stand in this order, not in that of a race.
const STEPS: [&str; 12] = [
    "submit",
    "resolve",
    "GET /v2/{repository}/manifests/{reference}",
    "plan",
    "lot",
    "placement",
    "fetch",
    "source",
    "GET /v2/{repository}/blobs/{digest}",
    "GET /share/v1/objects/{digest}",
    "seal",
    "settle",
];
/// What does not differ from run to run, and tells something.
const SHOWN: [&str; 11] = [
    "stoker.scope",
    "stoker.objects",
    "stoker.peer",
    "stoker.placements",
    "stoker.peers",
    "stoker.source.kind",
    "stoker.left",
    "stoker.outcome",
    "stoker.result",
    "http.response.status_code",
    "error.type",
];
/// Peers settle what is ready at the moment: how often, and how much at once, is chance.
const BY_CHANCE: &str = "settle";
const LAST_STAGE: usize = 2;
const WIDTH: usize = 66;

/// A span with all below it, without what differs from run to run.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Branch {
    step: usize,
    stage: usize,
    line: String,
    facts: String,
    children: Vec<(Branch, usize)>,
}

pub(crate) fn render(trace: &Trace) -> String {
    let roots = folded(trace.roots().into_iter().map(|root| branch(trace, root)));
    let mut lines = Vec::new();
    for (root, times) in &roots {
        root.write(&mut lines, "", "", *times);
    }
    lines.join("\n") + "\n"
}

fn branch(trace: &Trace, span: &Span) -> Branch {
    let children = trace.children_of(&span.id).into_iter();
    let children = folded(children.map(|child| branch(trace, child)));
    let service = span.service.trim_start_matches("stoker-");
    Branch {
        step: STEPS
            .iter()
            .position(|step| *step == span.name)
            .unwrap_or(STEPS.len()),
        line: span.name.clone(),
        facts: format!("{service:<8}{}", facts(span)).trim_end().to_owned(),
        stage: children
            .iter()
            .map(|(child, _)| child.stage)
            .fold(stage(span), usize::min),
        children,
    }
}

/// Peers that ask the registry come before those that ask them, and seeds before nodes.
fn stage(span: &Span) -> usize {
    match (span.text("stoker.source.kind"), span.service.as_str()) {
        (Some("registry"), _) => 0,
        (Some(_), "stoker-seed") => 1,
        _ => LAST_STAGE,
    }
}

fn facts(span: &Span) -> String {
    let is_shown = |key: &&&str| span.name != BY_CHANCE || **key != "stoker.placements";
    let found = SHOWN.iter().filter(is_shown).filter_map(|key| {
        let value = span.tags.get(*key)?;
        let short = key
            .trim_start_matches("stoker.")
            .trim_start_matches("http.response.");
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some(format!(" {short}={text}"))
    });
    found.collect()
}

/// Equal ones are one with a number.
fn folded(branches: impl Iterator<Item = Branch>) -> Vec<(Branch, usize)> {
    let mut counted: BTreeMap<Branch, usize> = BTreeMap::new();
    for branch in branches {
        *counted.entry(branch).or_default() += 1;
    }
    counted.into_iter().collect()
}

impl Branch {
    fn write(&self, lines: &mut Vec<String>, first: &str, rest: &str, times: usize) {
        let times = match times {
            2.. if self.line != BY_CHANCE => format!("  x {times}"),
            _ => String::new(),
        };
        let left = format!("{first}{}{times}", self.line);
        lines.push(format!("{left:<WIDTH$}{}", self.facts).trim_end().to_owned());
        let last = self.children.len().saturating_sub(1);
        for (number, (child, times)) in self.children.iter().enumerate() {
            let (branch, below) = if number == last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            child.write(
                lines,
                &format!("{rest}{branch}"),
                &format!("{rest}{below}"),
                *times,
            );
        }
    }
}

/// Compares with the text between the markers of docs/tracing.md; `STOKER_BLESS=1` writes it there instead.
pub(crate) fn assert_documented(tree: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/tracing.md");
    let page = std::fs::read_to_string(&path).expect("docs/tracing.md");
    let (before, rest) = page.split_once(BEGIN).expect("where the tree begins");
    let (documented, after) = rest.split_once(END).expect("where the tree ends");
    let wanted = format!("\n```text\n{tree}```\n");
    let bless = std::env::var_os("STOKER_BLESS").is_some();
    if bless {
        std::fs::write(&path, format!("{before}{BEGIN}{wanted}{END}{after}")).expect("written");
    } else {
        assert!(
            documented == wanted,
            "docs/tracing.md shows another tree (STOKER_BLESS=1 writes this one there):\n{tree}\nnot\n{documented}"
        );
    }
}

const BEGIN: &str = "<!-- the tree below is written by a test: make test-all -->";
const END: &str = "<!-- end of the tree -->";
