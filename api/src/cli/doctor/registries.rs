//! Checks a configured registry: that it can be reached, its certificate, its clock and the credential for it.

use std::sync::Arc;

use oci::{ClientFactory, ConnectFault, RegistrySettings};
use process::clock::unix_ms;
use process::http::curious_client_like;
use reqwest::tls::TlsInfo;
use reqwest::{Client, Response, StatusCode};

use super::call::{LIMIT, date_of, fault};
use super::certificate::{Certificate, Trust};
use super::clock::DatedResponse;
use super::finding::Finding;
use super::{certificate, clock, sign_in};

pub(super) async fn check(settings: RegistrySettings, factory: Arc<dyn ClientFactory>) -> Vec<Finding> {
    let scheme = if settings.plain_http { "http" } else { "https" };
    let base = format!("{scheme}://{}/v2/", settings.name.api_host());
    let curious = match curious_client_like(&clients::client_options(&settings.tls())) {
        Ok(curious) => curious,
        Err(error) => return vec![unusable(&settings, &error.to_string())],
    };
    let sent_ms = unix_ms();
    let answer = match curious.get(&base).timeout(LIMIT).send().await {
        Ok(answer) => answer,
        Err(error) => return vec![unreachable(&settings, &fault(&error))],
    };
    let response = DatedResponse {
        date: date_of(&answer),
        sent_ms,
        received_ms: unix_ms(),
    };
    let mut findings = vec![reached(&settings, answer.status())];
    findings.extend(clock::check(settings.name.as_str(), &response));
    match trusted(&settings, &answer, &base, factory.as_ref()).await {
        // A password is not sent to a server with an untrusted certificate.
        Err(finding) => findings.push(finding),
        Ok((finding, client)) => {
            findings.extend(finding);
            findings.push(sign_in::check(&client, &settings, &base).await);
        }
    }
    findings
}

fn what(settings: &RegistrySettings) -> String {
    format!("registry {}", settings.name)
}

fn unusable(settings: &RegistrySettings, fault: &str) -> Finding {
    let to_do = "check its ca_file, its client_cert_file and client_key_file, and its proxy";
    Finding::fail(what(settings), fault.to_owned(), to_do)
}

fn unreachable(settings: &RegistrySettings, fault: &ConnectFault) -> Finding {
    let to_do = match fault {
        ConnectFault::NoTls => "it seems to speak plain HTTP: set plain_http = true in its section",
        ConnectFault::Other(_) => {
            "check its name and port, that it runs, and the firewalls; peers must reach it too"
        }
        other => other.what_to_do(),
    };
    Finding::fail(what(settings), format!("it cannot be reached: {fault}"), to_do)
}

fn reached(settings: &RegistrySettings, status: StatusCode) -> Finding {
    let what = what(settings);
    match status {
        StatusCode::OK | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Finding::ok(what, format!("it answers ({status})"))
        }
        StatusCode::BAD_REQUEST if settings.plain_http => Finding::warn(
            what,
            "it refuses plain HTTP (400)",
            "it may expect TLS: remove plain_http from its section",
        ),
        other => Finding::warn(
            what,
            format!("/v2/ answered {other}"),
            "check its name and port: this may not be a registry",
        ),
    }
}

/// Returns the client that verifies as the manager's does, with a finding about the certificate. Fails if that client
/// does not trust the server, so that no secret is sent.
async fn trusted(
    settings: &RegistrySettings,
    answer: &Response,
    base: &str,
    factory: &dyn ClientFactory,
) -> Result<(Option<Finding>, Client), Finding> {
    let client = factory
        .build(&settings.tls())
        .map_err(|error| unusable(settings, &error.to_string()))?;
    if settings.plain_http {
        return Ok((Some(plain(settings)), client));
    }
    let trust = match client.get(base).timeout(LIMIT).send().await {
        Ok(_) if settings.insecure_skip_verify => Trust::NotChecked,
        Ok(_) => Trust::Trusted,
        Err(error) => Trust::Refused(fault(&error)),
    };
    let is_refused = matches!(trust, Trust::Refused(_));
    let certificate = answer
        .extensions()
        .get::<TlsInfo>()
        .and_then(TlsInfo::peer_certificate);
    let finding = match certificate.and_then(Certificate::read) {
        Some(certificate) => Some(certificate::check(
            settings.name.as_str(),
            &certificate,
            &trust,
            unix_ms() / 1_000,
        )),
        None if is_refused => Some(unreadable(settings, &trust)),
        None => None,
    };
    match finding {
        Some(finding) if is_refused => Err(finding),
        finding => Ok((finding, client)),
    }
}

fn plain(settings: &RegistrySettings) -> Finding {
    Finding::warn(
        what(settings),
        "the connection is plain HTTP: others on the network can read credentials",
        "serve it with TLS and remove plain_http, unless you trust the network",
    )
}

fn unreadable(settings: &RegistrySettings, trust: &Trust) -> Finding {
    let reason = match trust {
        Trust::Refused(fault) => fault.to_string(),
        _ => String::new(),
    };
    Finding::fail(
        format!("certificate of {}", settings.name),
        format!("not trusted ({reason}), and not readable"),
        "get a new certificate for it",
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn settings(plain_http: bool) -> RegistrySettings {
        RegistrySettings {
            plain_http,
            ..RegistrySettings::new("r.lan:5000".parse().expect("a name"))
        }
    }

    #[test]
    fn a_status_that_no_registry_sends_is_a_warning() {
        let of = |status: u16, plain: bool| {
            reached(&settings(plain), StatusCode::from_u16(status).expect("a status"))
        };
        for status in [200, 401, 403] {
            assert_eq!(of(status, false).verdict, Verdict::Ok, "{status}");
        }
        assert_eq!(of(404, false).verdict, Verdict::Warn);
        assert!(
            of(400, true)
                .to_do
                .is_some_and(|to_do| to_do.contains("plain_http"))
        );
    }

    #[test]
    fn a_registry_without_tls_gets_its_own_remedy() {
        let remedy_is_plain_http = |fault: ConnectFault| {
            let finding = unreachable(&settings(false), &fault);
            assert_eq!(finding.verdict, Verdict::Fail);
            finding.to_do.is_some_and(|to_do| to_do.contains("plain_http"))
        };
        assert!(remedy_is_plain_http(ConnectFault::NoTls));
        assert!(!remedy_is_plain_http(ConnectFault::Other(
            "Connection refused".to_owned()
        )));
    }
}
