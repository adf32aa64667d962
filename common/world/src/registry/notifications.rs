//! A registry that tells of what is pushed to it, as docker-registry does by itself.

use std::fmt::Write as _;

use super::Registry;
use crate::files;

impl Registry {
    /// From now on it tells `url` of each blob and manifest, and tries for ever. It is started again for that.
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
