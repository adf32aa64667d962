//! Push notifications of a docker-registry.

use std::fmt::Write as _;

use super::Registry;
use crate::files;

impl Registry {
    /// Restarts it so that it answers with URLs without a host, and notifies with such URLs too.
    pub async fn use_relative_urls(&mut self) {
        let file = self.dir.path().join("config.yml");
        let config = files::read_text(&file);
        files::write(
            &file,
            config.replacen("http:\n", "http:\n  relativeurls: true\n", 1),
        );
        self.stop();
        self.start().await;
        self.forget_requests().await;
    }

    /// Restarts it so that it notifies `url` of each pushed blob and manifest, with endless retries.
    pub async fn tell(&mut self, url: &str) {
        let file = self.dir.path().join("config.yml");
        let mut config = files::read_text(&file);
        // Writing into a String cannot fail.
        let _ = write!(
            config,
            "notifications:\n  endpoints:\n    - name: stoker\n      url: {url}\n      timeout: 2s\n      \
             threshold: 3\n      backoff: 200ms\n"
        );
        files::write(&file, config);
        self.stop();
        self.start().await;
        self.forget_requests().await;
    }
}
