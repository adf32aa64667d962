//! The registry in front of a repository, for clients that can name it nowhere else: in the path of a request (podman,
//! CRI-O), and in the scope of a token request.

use oci::RegistryName;

/// Returns the registry and the repository behind it, if the text begins with a registry.
pub(crate) fn registry_prefix(text: &str) -> Option<(RegistryName, &str)> {
    let (first, rest) = text.split_once('/')?;
    Some((host(first)?, rest))
}

/// Returns the host if the first component is one, as in image references: `a.lan/b`, `a:5000/b` and `localhost/b` begin
/// with a host, `a/b` does not. podman's `location` cannot contain a colon: `a__5000/b`.
fn host(first: &str) -> Option<RegistryName> {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((host, port)) = first.split_once("__").filter(|(_, port)| is_port(port)) {
        return format!("{host}:{port}").parse().ok();
    }
    let reads = first.contains(['.', ':']) || first == "localhost";
    first.parse().ok().filter(|_| reads)
}
