//! Where people look at traces: the pages of a Jaeger.

/// Makes links to traces; none without a configured address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TracePages(Option<String>);

impl TracePages {
    /// `http://jaeger:16686`, with or without a path.
    pub fn at(base: &str) -> Self {
        Self(Some(base.trim_end_matches('/').to_owned()))
    }

    pub fn url_of(&self, trace_id: &str) -> Option<String> {
        let base = self.0.as_ref()?;
        Some(format!("{base}/trace/{trace_id}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_trace_wherever_jaeger_is() {
        let links = ["http://j:16686", "http://j:16686/"].map(|base| TracePages::at(base).url_of("0af7"));
        assert_eq!(
            links,
            [(); 2].map(|()| Some("http://j:16686/trace/0af7".to_owned()))
        );
        let below = TracePages::at("https://tools.lan/jaeger/").url_of("0af7");
        assert_eq!(below.as_deref(), Some("https://tools.lan/jaeger/trace/0af7"));
        assert_eq!(TracePages::default().url_of("0af7"), None);
    }
}
