//! A configured registry: can it be reached, is its certificate trusted, do the clocks agree, is the credential taken.

use std::sync::Arc;

use oci::{ClientFactory, RegistrySettings};
use process::clock::unix_ms;
use process::http::curious_client_like;
use reqwest::tls::TlsInfo;
use reqwest::{Client, Response, StatusCode};

use super::call::{LIMIT, cause, date_of};
use super::certificate::{Certificate, Trust};
use super::clock::Answered;
use super::finding::Finding;
use super::{certificate, clock, sign_in};

pub(super) async fn check(settings: RegistrySettings, factory: Arc<dyn ClientFactory>) -> Vec<Finding> {
    let scheme = if settings.plain_http { "http" } else { "https" };
    let base = format!("{scheme}://{}/v2/", settings.name.api_host());
    let curious = match curious_client_like(&clients::client_options(&settings.tls())) {
        Ok(curious) => curious,
        Err(error) => return vec![unusable(&settings, &error.to_string())],
    };
    let asked_ms = unix_ms();
    let answer = match curious.get(&base).timeout(LIMIT).send().await {
        Ok(answer) => answer,
        Err(error) => return vec![unreachable(&settings, &cause(&error))],
    };
    let heard = Answered {
        date: date_of(&answer),
        asked_ms,
        heard_ms: unix_ms(),
    };
    let mut findings = vec![reached(&settings, answer.status())];
    findings.extend(clock::check(settings.name.as_str(), &heard));
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

fn unreachable(settings: &RegistrySettings, cause: &str) -> Finding {
    let speaks_no_tls = cause.contains("InvalidContentType") || cause.contains("corrupt message");
    let to_do = if speaks_no_tls {
        "it seems to speak plain HTTP: set plain_http = true in its section"
    } else {
        "check its name and port, that it runs, and the firewalls between; peers must reach it too"
    };
    Finding::fail(what(settings), format!("it cannot be reached: {cause}"), to_do)
}

fn reached(settings: &RegistrySettings, status: StatusCode) -> Finding {
    let what = what(settings);
    match status {
        StatusCode::OK | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Finding::ok(what, format!("it answers ({status})"))
        }
        StatusCode::BAD_REQUEST if settings.plain_http => Finding::warn(
            what,
            "it does not like plain HTTP (400)",
            "it may want TLS: remove plain_http from its section",
        ),
        other => Finding::warn(
            what,
            format!("/v2/ is answered with {other}"),
            "is this a registry? Check its name and port",
        ),
    }
}

/// The client that checks as the manager's does, and what is to be said about that; or why nothing secret may be sent.
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
        Err(error) => Trust::Refused(cause(&error)),
    };
    let is_refused = matches!(trust, Trust::Refused(_));
    let shown = answer
        .extensions()
        .get::<TlsInfo>()
        .and_then(TlsInfo::peer_certificate);
    let finding = match shown.and_then(Certificate::read) {
        Some(shown) => Some(certificate::check(
            settings.name.as_str(),
            &shown,
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
        "it is asked over plain HTTP: credentials can be read on the way",
        "serve it with TLS and remove plain_http, unless the network between is your own",
    )
}

fn unreadable(settings: &RegistrySettings, trust: &Trust) -> Finding {
    let reason = match trust {
        Trust::Refused(reason) => reason.as_str(),
        _ => "",
    };
    Finding::fail(
        format!("certificate of {}", settings.name),
        format!("not trusted ({reason}), and it cannot be read"),
        "have a new certificate issued for it",
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
    fn an_answer_of_a_registry_is_told_from_any_other() {
        let of = |status: u16, plain: bool| {
            reached(&settings(plain), StatusCode::from_u16(status).expect("a status"))
        };
        for status in [200, 401, 403] {
            assert_eq!(of(status, false).verdict, Verdict::Ok, "{status}");
        }
        assert_eq!(of(404, false).verdict, Verdict::Warn);
        assert!(of(400, true).line().contains("remove plain_http"));
    }

    #[test]
    fn a_registry_without_tls_is_not_just_unreachable() {
        let told = unreachable(
            &settings(false),
            "received corrupt message of type InvalidContentType",
        )
        .line();
        assert!(told.contains("plain_http = true"), "{told}");
        let told = unreachable(&settings(false), "Connection refused").line();
        assert!(told.contains("firewalls") && told.starts_with("FAIL"), "{told}");
    }
}
