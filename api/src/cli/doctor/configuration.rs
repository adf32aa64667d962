//! Checks the configuration: reports every fault and every risky setting.

use std::path::Path;

use api::AuthMode;
use settings::{Fault, Faults, Read};

use super::finding::Finding;
use crate::config::ManagerConfig;

const WHAT: &str = "configuration";

pub(super) fn check(read: &Result<Read<ManagerConfig>, Faults>, file: Option<&Path>) -> Vec<Finding> {
    match read {
        Ok(read) => {
            let mut findings = good(&read.value, file);
            findings.extend(read.warnings.iter().map(moved));
            findings
        }
        Err(faults) => faults.iter().map(fault).collect(),
    }
}

fn moved(warning: &String) -> Finding {
    Finding::warn(WHAT, warning, "the next version may refuse it")
}

fn fault(fault: &Fault) -> Finding {
    Finding::fail(
        WHAT,
        fault.to_string(),
        "correct it in the configuration file, its flag or its variable (stoker manager --help)",
    )
}

fn good(config: &ManagerConfig, file: Option<&Path>) -> Vec<Finding> {
    let from = file.map_or_else(
        || "no file, only flags and defaults".to_owned(),
        |file| file.display().to_string(),
    );
    let (registries, clusters) = (config.registries.len(), config.clusters.len());
    let found = format!("{from}: {registries} registries and {clusters} clusters configured");
    let mut findings = vec![Finding::ok(WHAT, found)];
    if config.auth == AuthMode::None {
        findings.push(Finding::warn(
            WHAT,
            "auth = \"none\": everyone who reaches the port may do everything",
            "set auth = \"tokens\"",
        ));
    }
    if config.jaeger_ui.is_some() && config.telemetry.otlp_endpoint.is_none() {
        findings.push(Finding::warn(
            WHAT,
            "jaeger_ui is set without otlp_endpoint: links lead to traces that are never sent",
            "set otlp_endpoint in [telemetry], or OTEL_EXPORTER_OTLP_ENDPOINT",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn every_fault_is_its_own_failure() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("stoker.toml");
        std::fs::write(&file, "data_dir = \"d\"\nlisten = \"x\"\nauth = \"y\"\n").expect("written");
        let findings = check(&super::super::read(Some(&file)), Some(&file));
        assert_eq!(findings.len(), 2);
        assert!(findings.iter().all(|finding| finding.verdict == Verdict::Fail));
        assert!(findings[0].found.starts_with("listen: "), "{findings:?}");
    }

    #[test]
    fn a_risky_setting_is_a_warning() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("stoker.toml");
        let text = "data_dir = \"d\"\nauth = \"none\"\n[telemetry]\njaeger_ui = \"http://j:16686\"\n";
        std::fs::write(&file, text).expect("written");
        let config = super::super::read(Some(&file));
        let findings = check(&config, Some(&file));
        let verdicts: Vec<_> = findings.iter().map(|finding| finding.verdict).collect();
        assert_eq!(
            verdicts,
            [Verdict::Ok, Verdict::Warn, Verdict::Warn],
            "{findings:?}"
        );
    }
}
