//! A trace as Jaeger returns it: spans with parents, links and tags.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

/// All spans with one trace id.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    pub id: String,
    /// By the time of their start.
    pub spans: Vec<Span>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub id: String,
    pub name: String,
    pub service: String,
    /// The span of the same trace that it is a child of.
    pub parent: Option<String>,
    pub links: Vec<Link>,
    /// Numbers are numbers, as Jaeger keeps them.
    pub tags: BTreeMap<String, Value>,
    pub start_us: u64,
    pub duration_us: u64,
}

/// To a span of this trace or another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub trace: String,
    pub span: String,
}

impl Trace {
    pub(super) fn read(json: &Value) -> Option<Self> {
        let mut spans: Vec<Span> = json["spans"]
            .as_array()?
            .iter()
            .map(|span| Span::read(span, &json["processes"]))
            .collect();
        spans.sort_by_key(|span| span.start_us);
        Some(Self {
            id: text(&json["traceID"]),
            spans,
        })
    }

    /// All spans of this name.
    pub fn named(&self, name: &str) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.name == name).collect()
    }

    pub fn span(&self, id: &str) -> Option<&Span> {
        self.spans.iter().find(|span| span.id == id)
    }

    pub fn children_of(&self, id: &str) -> Vec<&Span> {
        let is_child = |span: &&Span| span.parent.as_deref() == Some(id);
        self.spans.iter().filter(is_child).collect()
    }

    /// Returns spans without a parent, or whose parent was not sent.
    pub fn roots(&self) -> Vec<&Span> {
        let is_root = |span: &&Span| {
            span.parent
                .as_deref()
                .is_none_or(|parent| self.span(parent).is_none())
        };
        self.spans.iter().filter(is_root).collect()
    }

    /// Returns spans whose parent is missing.
    pub fn orphans(&self) -> Vec<&Span> {
        let mut roots = self.roots();
        roots.retain(|span| span.parent.is_some());
        roots
    }

    pub fn services(&self) -> BTreeSet<&str> {
        self.spans.iter().map(|span| span.service.as_str()).collect()
    }

    fn show(&self, span: &Span, depth: usize, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}{} [{}]", "  ".repeat(depth), span.name, span.service)?;
        // Deeper than any tree of ours: a circle, which a broken exporter could make.
        if depth > 50 {
            return Ok(());
        }
        let mut children = self.children_of(&span.id).into_iter();
        children.try_for_each(|child| self.show(child, depth + 1, out))
    }
}

/// The tree, a span a line.
impl fmt::Display for Trace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.roots()
            .into_iter()
            .try_for_each(|root| self.show(root, 0, out))
    }
}

impl Span {
    fn read(json: &Value, processes: &Value) -> Self {
        let own_trace = text(&json["traceID"]);
        let references = json["references"].as_array().cloned().unwrap_or_default();
        let links = references.iter().map(|one| Link {
            trace: text(&one["traceID"]),
            span: text(&one["spanID"]),
        });
        let (parents, links): (Vec<_>, Vec<_>) = references
            .iter()
            .zip(links)
            .partition(|(one, link)| one["refType"] == "CHILD_OF" && link.trace == own_trace);
        let process = json["processID"].as_str().unwrap_or_default();
        Self {
            id: text(&json["spanID"]),
            name: text(&json["operationName"]),
            service: text(&processes[process]["serviceName"]),
            parent: parents.into_iter().next().map(|(_, link)| link.span),
            links: links.into_iter().map(|(_, link)| link).collect(),
            tags: tags(&json["tags"]),
            start_us: json["startTime"].as_u64().unwrap_or_default(),
            duration_us: json["duration"].as_u64().unwrap_or_default(),
        }
    }

    /// A tag that is text.
    pub fn text(&self, tag: &str) -> Option<&str> {
        self.tags.get(tag)?.as_str()
    }

    /// A tag that is a number.
    pub fn number(&self, tag: &str) -> Option<i64> {
        self.tags.get(tag)?.as_i64()
    }

    pub fn is_error(&self) -> bool {
        self.tags.get("error") == Some(&Value::Bool(true))
    }
}

fn tags(json: &Value) -> BTreeMap<String, Value> {
    let pairs = json.as_array().cloned().unwrap_or_default();
    pairs
        .into_iter()
        .map(|pair| (text(&pair["key"]), pair["value"].clone()))
        .collect()
}

fn text(json: &Value) -> String {
    json.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer() -> Value {
        json!({
            "traceID": "t1",
            "spans": [
                {"traceID": "t1", "spanID": "b", "operationName": "child", "processID": "p1", "startTime": 2, "duration": 1,
                 "references": [
                    {"refType": "CHILD_OF", "traceID": "t1", "spanID": "a"},
                    {"refType": "FOLLOWS_FROM", "traceID": "t2", "spanID": "z"}],
                 "tags": [{"key": "n", "type": "int64", "value": 5}, {"key": "error", "type": "bool", "value": true}]},
                {"traceID": "t1", "spanID": "a", "operationName": "root", "processID": "p1", "startTime": 1, "duration": 9,
                 "references": [], "tags": []},
                {"traceID": "t1", "spanID": "c", "operationName": "lost", "processID": "p2", "startTime": 3, "duration": 1,
                 "references": [{"refType": "CHILD_OF", "traceID": "t1", "spanID": "never-sent"}], "tags": []}
            ],
            "processes": {"p1": {"serviceName": "one"}, "p2": {"serviceName": "two"}}
        })
    }

    #[test]
    fn parents_links_and_tags_are_read() {
        let trace = Trace::read(&answer()).expect("a trace");
        let child = trace.named("child")[0];
        assert_eq!(child.parent.as_deref(), Some("a"));
        let link = Link {
            trace: "t2".to_owned(),
            span: "z".to_owned(),
        };
        assert_eq!(child.links, [link]);
        assert_eq!(child.number("n"), Some(5));
        assert!(child.is_error());
        assert_eq!(child.service, "one");
    }

    #[test]
    fn a_span_without_its_parent_is_an_orphan() {
        let trace = Trace::read(&answer()).expect("a trace");
        let orphans: Vec<_> = trace.orphans().iter().map(|span| span.name.as_str()).collect();
        assert_eq!(orphans, ["lost"]);
        assert_eq!(trace.to_string(), "root [one]\n  child [one]\nlost [two]\n");
    }
}
