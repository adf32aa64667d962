//! `[hooks.KIND]`: settings of webhooks of registries. A secret is in its own file.

use api::triggers::{HookKind, HookSettings, Hooks};
use settings::Section;
use wire::SecretText;

use super::webhooks::long_enough;

pub(super) fn read(top: &Section<'_>) -> Hooks {
    let sections = top.named_tables("hooks");
    sections
        .into_iter()
        .filter_map(|(name, section)| one(&name, &section))
        .collect()
}

fn one(name: &str, section: &Section<'_>) -> Option<(HookKind, HookSettings)> {
    let settings = HookSettings {
        registry: section.parsed("registry"),
        path: section.text("path"),
        secret: secret(section),
    };
    let kind: HookKind = match name.parse() {
        Ok(kind) => kind,
        Err(fault) => {
            section.fault_of_section(fault);
            return None;
        }
    };
    check(kind, section);
    Some((kind, settings))
}

/// Reports keys that have no meaning for the kind, and the missing key of a kind that cannot do without it.
fn check(kind: HookKind, section: &Section<'_>) {
    if section.has("secret_file") && !kind.has_secret() {
        section.fault(
            "secret_file",
            format_args!("{kind} does not sign its webhooks; use a token or an endpoint"),
        );
    }
    if section.has("path") && !kind.has_path() {
        section.fault(
            "path",
            format_args!("is only for nexus and artifactory, not for {kind}"),
        );
    }
    if !section.has("registry") && !kind.names_host() {
        section.incomplete(
            "registry",
            format_args!("is needed: {kind} does not name the registry's host; write for example \"registry.example.com\""),
        );
    }
}

fn secret(section: &Section<'_>) -> Option<SecretText> {
    let content = section.file_content("secret_file")?;
    section.check("secret_file", long_enough(&content))
}
