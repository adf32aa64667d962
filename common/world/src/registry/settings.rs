//! The configuration of docker-registry, and the files that it names.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::accounts::{OTHER_USER, PASSWORD, USER};
use super::{SignIn, TokenServer};
use crate::program::run_well;
use crate::{Authority, Identity, Port, files};

/// Where the registry keeps its blobs.
pub(super) fn data(dir: &Path) -> PathBuf {
    dir.join("data")
}

/// Writes `config.yml` and what belongs to it into `dir`.
pub(super) async fn write(dir: &Path, port: &Port, sign_in: SignIn, tls: Tls<'_>) -> Option<TokenServer> {
    let mut config = format!(
        "version: 0.1\n\
         log: {{level: info, formatter: json}}\n\
         storage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n\
         http:\n  addr: {port}\n  secret: world\n",
        data(dir).display(),
    );
    match tls {
        Tls::None => {}
        Tls::Server(authority) => config += &served_with_tls(dir, authority, ""),
        Tls::Mutual(authority, client) => config += &asks_for_certificates(dir, authority, client),
    }
    let mut token_server = None;
    match sign_in {
        SignIn::Nobody => {}
        SignIn::Basic => config += &basic(dir).await,
        SignIn::Bearer(spec) => {
            let server = TokenServer::start(spec);
            config += &bearer(dir, &server);
            token_server = Some(server);
        }
    }
    files::write(&dir.join("config.yml"), config);
    token_server
}

/// What a registry's certificates are about.
pub(super) enum Tls<'authority> {
    None,
    Server(&'authority Authority),
    /// Callers show one too: this one, or another of the same authority.
    Mutual(&'authority Authority, &'authority Identity),
}

fn asks_for_certificates(dir: &Path, authority: &Authority, client: &Identity) -> String {
    files::write(&dir.join("client.cert"), &client.certificate_pem);
    files::write(&dir.join("client.key"), &client.key_pem);
    served_with_tls(
        dir,
        authority,
        &format!(", clientcas: [{}/ca.crt]", dir.display()),
    )
}

fn served_with_tls(dir: &Path, authority: &Authority, more: &str) -> String {
    let identity = authority.identity();
    // The same folder is handed to skopeo, which trusts every *.crt and takes *.cert and *.key for a client's.
    files::write(&dir.join("ca.crt"), authority.ca_pem());
    files::write(&dir.join("server.pem"), identity.certificate_pem);
    files::write(&dir.join("server-key.pem"), identity.key_pem);
    let dir = dir.display();
    format!("  tls: {{certificate: {dir}/server.pem, key: {dir}/server-key.pem{more}}}\n")
}

async fn basic(dir: &Path) -> String {
    let mut lines = String::new();
    for (user, password) in [(USER, PASSWORD), OTHER_USER] {
        let mut command = Command::new("htpasswd");
        // The lowest cost: a registry checks the password with every request.
        command.args(["-n", "-b", "-B", "-C", "4", user, password]);
        lines += &run_well(command, Duration::from_secs(10)).await;
        lines.push('\n');
    }
    let path = dir.join("htpasswd");
    files::write(&path, lines);
    format!("auth:\n  htpasswd: {{realm: world, path: {}}}\n", path.display())
}

fn bearer(dir: &Path, server: &TokenServer) -> String {
    let bundle = dir.join("token-roots.pem");
    files::write(&bundle, server.certificate_pem());
    format!(
        "auth:\n  token: {{realm: \"{}\", service: {}, issuer: {}, rootcertbundle: {}}}\n",
        server.realm(),
        TokenServer::SERVICE,
        TokenServer::ISSUER,
        bundle.display(),
    )
}
