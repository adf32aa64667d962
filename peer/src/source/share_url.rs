//! URLs of other peers' `share`.

/// Returns host and port of a `share` URL: the name of a peer in spans, metrics and answers.
pub(crate) fn host_and_port(share_url: &str) -> &str {
    let rest = share_url.split_once("://").map_or(share_url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_named_by_host_and_port() {
        assert_eq!(host_and_port("http://10.0.0.7:65002"), "10.0.0.7:65002");
        assert_eq!(host_and_port("https://seed.lan:1/x?y#z"), "seed.lan:1");
        assert_eq!(host_and_port("seed.lan"), "seed.lan");
    }
}
