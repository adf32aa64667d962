//! A finding: what was checked, the verdict, the result and what to do. Printed as lines or JSON.

use serde::Serialize;

use super::super::output::printable;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Ok,
    /// It works or may work, but a person should look at it.
    Warn,
    Fail,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) what: String,
    pub(super) verdict: Verdict,
    pub(super) found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) to_do: Option<String>,
}

impl Finding {
    pub(super) fn ok(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(what, Verdict::Ok, found, None)
    }

    pub(super) fn warn(what: impl Into<String>, found: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self::new(what, Verdict::Warn, found, Some(to_do.into()))
    }

    pub(super) fn fail(what: impl Into<String>, found: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self::new(what, Verdict::Fail, found, Some(to_do.into()))
    }

    fn new(
        what: impl Into<String>,
        verdict: Verdict,
        found: impl Into<String>,
        to_do: Option<String>,
    ) -> Self {
        Self {
            what: what.into(),
            verdict,
            found: found.into(),
            to_do,
        }
    }

    /// Formats `FAIL  what: result -> what to do`.
    pub(super) fn line(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        let to_do = self.to_do.as_deref();
        let to_do = to_do.map_or_else(String::new, |to_do| format!(" -> {to_do}"));
        printable(&format!("{verdict:<5} {}: {}{to_do}", self.what, self.found))
    }
}

pub(super) fn any_failed(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.verdict == Verdict::Fail)
}

/// Formats the findings for programs.
pub(super) fn json(findings: &[Finding]) -> String {
    let document = serde_json::json!({ "ok": !any_failed(findings), "findings": findings });
    format!("{document:#}")
}

/// Formats the last line: the number of failures and warnings.
pub(super) fn summary(findings: &[Finding]) -> String {
    let of = |verdict| {
        findings
            .iter()
            .filter(|finding| finding.verdict == verdict)
            .count()
    };
    match (of(Verdict::Fail), of(Verdict::Warn)) {
        (0, 0) => "No problems found.".to_owned(),
        (0, warnings) => format!("0 failed, {warnings} warnings."),
        (failures, warnings) => format!("{failures} failed, {warnings} warnings."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Vec<Finding> {
        vec![
            Finding::ok("data folder", "/data, 1 GiB free"),
            Finding::warn("clock", "7 s behind", "set it"),
            Finding::fail("registry r.lan", "refused\u{1b}[2J", "start it"),
        ]
    }

    #[test]
    fn a_line_has_verdict_subject_result_and_remedy() {
        let lines: Vec<_> = three().iter().map(Finding::line).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        ok    data folder: /data, 1 GiB free
        warn  clock: 7 s behind -> set it
        FAIL  registry r.lan: refused [2J -> start it
        ");
    }

    #[test]
    fn the_json_has_every_finding_and_the_overall_result() {
        let document: serde_json::Value = serde_json::from_str(&json(&three())).expect("JSON");
        assert_eq!(document["ok"], false);
        let failed = &document["findings"][2];
        assert_eq!(
            (&failed["verdict"], &failed["to_do"]),
            (&"fail".into(), &"start it".into())
        );
        assert_eq!(document["findings"][0].get("to_do"), None);
        let fine = json(&three()[..2]);
        assert!(fine.contains("\"ok\": true"), "{fine}");
    }

    #[test]
    fn the_summary_counts_failures_and_warnings() {
        let all = three();
        let summaries = [&all[..], &all[..2], &all[..1]].map(summary);
        insta::assert_snapshot!(summaries.join("\n"), @r"
        1 failed, 1 warnings.
        0 failed, 1 warnings.
        No problems found.
        ");
    }
}
