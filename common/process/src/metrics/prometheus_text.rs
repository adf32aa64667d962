//! The older text format (version 0.0.4), for scrapers that do not request OpenMetrics.
//!
//! Differences: a counter's family name includes `_total`, and there are no units, exemplars or end mark.

use std::fmt::Write as _;

pub(super) fn from_open_metrics(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        match line.strip_prefix("# ") {
            None => add(&mut text, without_exemplar(line)),
            Some(comment) => match comment.split_once(' ') {
                Some(("HELP", rest)) => help = Some(rest),
                Some(("TYPE", rest)) => describe(&mut text, help.take(), rest),
                _ => {}
            },
        }
    }
    text
}

fn describe(text: &mut String, help: Option<&str>, name_and_type: &str) {
    let (name, kind) = name_and_type
        .split_once(' ')
        .unwrap_or((name_and_type, "unknown"));
    let (suffix, kind) = match kind {
        "counter" => ("_total", "counter"),
        "info" => ("_info", "gauge"),
        "unknown" => ("", "untyped"),
        kind => ("", kind),
    };
    if let Some((_, help)) = help.and_then(|help| help.split_once(' ')) {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "# HELP {name}{suffix} {help}");
    }
    let _ = writeln!(text, "# TYPE {name}{suffix} {kind}");
}

/// Removes the exemplar from `name{labels} value # {trace_id="…"} 0.2`. Label values may contain anything but a bare
/// quote.
fn without_exemplar(sample: &str) -> &str {
    let mut quoted = false;
    let mut escaped = false;
    for (at, letter) in sample.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '#' if !quoted => return sample.get(..at).unwrap_or(sample).trim_end(),
            _ => {}
        }
    }
    sample
}

fn add(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_units_exemplars_and_the_end_mark_are_converted() {
        let given = "# HELP pulls Pulls.\n# TYPE pulls counter\n# UNIT pulls things\n\
            pulls_total{of=\"a#\\\"b\"} 3 # {trace_id=\"ab\"} 1.0 1.5\n\
            # HELP age_seconds Age.\n# TYPE age_seconds gauge\nage_seconds 1.5\n# EOF\n";
        let expected = "# HELP pulls_total Pulls.\n# TYPE pulls_total counter\n\
            pulls_total{of=\"a#\\\"b\"} 3\n\
            # HELP age_seconds Age.\n# TYPE age_seconds gauge\nage_seconds 1.5\n";
        assert_eq!(from_open_metrics(given), expected);
    }
}
