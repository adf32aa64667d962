//! The note about layers that registries do not keep.

use oci::Digest;
use oci::manifest::Descriptor;

/// Why a layer is not preheated, and where runtimes get it.
pub(super) fn foreign(manifest: &Digest, layer: &Descriptor) -> String {
    let Descriptor { digest, urls, .. } = layer;
    let hosts: Vec<&str> = urls.iter().take(3).filter_map(|url| host(url)).collect();
    let place = if hosts.is_empty() {
        "from elsewhere".to_owned()
    } else {
        format!("from {}", hosts.join(", "))
    };
    format!(
        "left out: layer {digest} of manifest {manifest} is a foreign layer, which registries do not keep; \
         runtimes download it {place}"
    )
}

/// Returns the host of a URL, without credentials, path and query.
fn host(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    let host = rest.split(['/', '?', '#']).next()?.rsplit('@').next()?;
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':');
    ((1..=100).contains(&host.len()) && host.bytes().all(is_host)).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_about_a_foreign_layer_shows_only_the_host_of_its_url() {
        assert_eq!(
            host("https://user:pass@mcr.example.com/a?sig=x"),
            Some("mcr.example.com")
        );
        assert_eq!(host("https://evil\u{1b}[31m/x"), None);
        assert_eq!(host("no address"), None);
    }
}
