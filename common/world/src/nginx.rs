//! nginx over a folder: the speed of a file server on this machine, and a registry of plain files.
//!
//! A registry tree is files under `v2/<repository>/{blobs,manifests}/<digest>`; tags are not served.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::http::{client, status_of};
use crate::image::{Kind, Object};
use crate::net::{Host, command_on, port_on};
use crate::program::Signal;
use crate::usage::Usage;
use crate::{Image, Port, Program, Registry, files};

const START_LIMIT: Duration = Duration::from_secs(10);
const STOP_LIMIT: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// How bytes come from the file to the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mover {
    Sendfile,
    /// `read` and `write` with two buffers of 2 MiB.
    ReadWrite,
}

/// How an nginx is to be started.
pub struct NginxSpec {
    mover: Mover,
    access_log: bool,
    workers: String,
    /// Bytes a second of one answer.
    limit_rate: Option<u64>,
    root: Option<PathBuf>,
    host: Option<Host>,
    portal: Option<Portal>,
}

/// A host that answers 200 with a page to every path that it does not know, as Harbor's portal does.
enum Portal {
    /// The API below `/v2/` is this registry's (`host:port`, plain HTTP).
    Before(String),
    /// There is no registry behind it: the page is its answer to the API too.
    Alone,
}

/// A running nginx.
pub struct Nginx {
    // Before the folder: dropped in this order, so that nobody writes into a folder that is being removed.
    program: Program,
    port: Port,
    root: PathBuf,
    dir: TempDir,
}

impl NginxSpec {
    pub fn new(mover: Mover) -> Self {
        Self {
            mover,
            access_log: false,
            workers: "auto".to_owned(),
            limit_rate: None,
            root: None,
            host: None,
            portal: None,
        }
    }

    /// Every answer is a line: [`Nginx::gets`].
    #[must_use]
    pub fn access_log(mut self) -> Self {
        self.access_log = true;
        self
    }

    /// Instead of one a processor.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.to_string();
        self
    }

    /// No answer is faster than so many bytes a second.
    #[must_use]
    pub fn limit_rate(mut self, bytes: u64) -> Self {
        self.limit_rate = Some(bytes);
        self
    }

    /// Passes `/v2/` on to this registry, and answers 200 with a page to everything else.
    #[must_use]
    pub fn portal_before(mut self, registry: &Registry) -> Self {
        self.portal = Some(Portal::Before(registry.host()));
        self
    }

    /// Answers 200 with a page to everything, the registry's API included.
    #[must_use]
    pub fn says_yes_to_everything(mut self) -> Self {
        self.portal = Some(Portal::Alone);
        self
    }

    fn locations(&self) -> String {
        let page =
            r#"location / { default_type text/html; return 200 "<!doctype html><title>Portal</title>"; }"#;
        let files = r#"location = /v2/ { default_type application/json; return 200 "{}"; }
    location ~ "/v2/.+/manifests/(sha256:[0-9a-f]+)$" {
      default_type application/vnd.oci.image.manifest.v1+json; add_header Docker-Content-Digest $1;
    }
    location ~ "/v2/.+/manifests/[^:]+$" { default_type application/vnd.oci.image.manifest.v1+json; }
    location ~ "/v2/.+/blobs/(sha256:[0-9a-f]+)$" { add_header Docker-Content-Digest $1; }"#;
        match &self.portal {
            None => files.to_owned(),
            Some(Portal::Alone) => page.to_owned(),
            Some(Portal::Before(host)) => {
                format!(
                    "{page}\n    location /v2/ {{ proxy_pass http://{host}; proxy_set_header Host $http_host; }}"
                )
            }
        }
    }

    /// The folder that it serves, instead of an empty one of its own.
    #[must_use]
    pub fn root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = Some(root.into());
        self
    }

    /// It runs there, and listens there.
    #[must_use]
    pub fn on(mut self, host: &Host) -> Self {
        self.host = Some(host.clone());
        self
    }

    pub async fn start(self) -> Nginx {
        let dir = files::temporary("nginx");
        let port = port_on(self.host.as_ref());
        let root = self.root.clone().unwrap_or_else(|| dir.path().join("root"));
        files::make_dir(&root);
        files::write(
            &dir.path().join("nginx.conf"),
            self.configuration(dir.path(), &root, &port),
        );
        let mut command = command_on(self.host.as_ref(), "nginx");
        command.arg("-p").arg(dir.path()).args(["-c", "nginx.conf"]);
        let log = dir.path().join("error.log");
        command.arg("-e").arg(&log);
        let mut program = Program::start("nginx", command, &log, None);
        let http = client(None);
        let url = format!("http://{port}/v2/");
        program
            .wait_until(START_LIMIT, async || status_of(&http, &url).await.is_some())
            .await;
        Nginx {
            program,
            port,
            root,
            dir,
        }
    }

    fn configuration(&self, dir: &Path, root: &Path, port: &Port) -> String {
        let moving = match self.mover {
            Mover::Sendfile => "sendfile on; tcp_nopush on;",
            Mover::ReadWrite => "sendfile off; output_buffers 2 2m;",
        };
        let log = if self.access_log {
            "log_format asked '$request_method $request_uri $status $body_bytes_sent'; access_log access.log asked;"
        } else {
            "access_log off;"
        };
        let slow = self.limit_rate.map(|rate| format!("limit_rate {rate};"));
        let (slow, workers) = (slow.unwrap_or_default(), &self.workers);
        let (dir, root, locations) = (dir.display(), root.display(), self.locations());
        format!(
            r"daemon off; worker_processes {workers}; pid {dir}/pid; user root;
events {{ worker_connections 1024; }}
http {{
  {moving} {slow} {log}
  keepalive_requests 1000000000; tcp_nodelay on; default_type application/octet-stream;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  server {{
    listen {port} backlog=1024; root {root};
    {locations}
  }}
}}
"
        )
    }
}

impl Nginx {
    /// `address:PORT`: a registry's name.
    pub fn host(&self) -> String {
        self.port.to_string()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.port)
    }

    /// What Harbor would name this image.
    pub fn manifest_url(&self, repository: &str, digest: &str) -> String {
        format!("{}/v2/{repository}/manifests/{digest}", self.url())
    }

    pub fn blob_url(&self, repository: &str, digest: &str) -> String {
        format!("{}/v2/{repository}/blobs/{digest}", self.url())
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Serves the image's objects as a registry would; the same files, not copies, where that can be.
    pub fn serve(&self, image: &Image, repository: &str) {
        self.serve_below("", image, repository);
    }

    /// The same below a path of this host, with a tag, like a user who may upload files there.
    pub fn serve_tagged_below(&self, path: &str, image: &Image, repository: &str, tag: &str) {
        self.serve_below(path, image, repository);
        let root = &image.root().digest;
        let manifests = self.root.join(path).join("v2").join(repository).join("manifests");
        files::write(&manifests.join(tag), image.bytes(root));
    }

    /// Serves other bytes of the same size under the digests of the image's objects, like an attacker with a registry who
    /// knows only digests and sizes.
    pub fn serve_lies(&self, image: &Image, repository: &str) {
        for object in image.objects() {
            let size = image.bytes(&object.digest).len();
            files::write(&self.place("", repository, object), vec![b'x'; size]);
        }
    }

    /// Where an object lies; the folder is made.
    fn place(&self, path: &str, repository: &str, object: &Object) -> PathBuf {
        let folder = match object.kind {
            Kind::Index | Kind::Manifest => "manifests",
            _ => "blobs",
        };
        let folder = self.root.join(path).join("v2").join(repository).join(folder);
        files::make_dir(&folder);
        folder.join(&object.digest)
    }

    fn serve_below(&self, path: &str, image: &Image, repository: &str) {
        for object in image.objects() {
            let (from, to) = (image.path(&object.digest), self.place(path, repository, object));
            if std::fs::hard_link(&from, &to).is_err() {
                std::fs::copy(&from, &to)
                    .unwrap_or_else(|error| panic!("cannot copy {}: {error}", from.display()));
            }
        }
    }

    /// Master and workers.
    pub fn usage(&self) -> Usage {
        Usage::of_family(self.program.pid())
    }

    /// Requests that were answered with content, as (path, bytes); only with [`NginxSpec::access_log`]. A line is
    /// written when the answer is through.
    pub fn gets(&self) -> Vec<(String, u64)> {
        let log = files::read_text(&self.dir.path().join("access.log"));
        log.lines().filter_map(content).collect()
    }

    /// Of all answers with content, by the access log.
    pub fn bytes_sent(&self) -> u64 {
        self.gets().iter().map(|(_, bytes)| bytes).sum()
    }

    /// Forgets all requests so far.
    pub fn forget_requests(&self) {
        files::write(&self.dir.path().join("access.log"), "");
    }
}

/// A master that is killed leaves its workers behind; one that is told to stop takes them along.
impl Drop for Nginx {
    fn drop(&mut self) {
        self.program.signal(Signal::Terminate);
        let deadline = Instant::now() + STOP_LIMIT;
        while self.program.is_running() && Instant::now() < deadline {
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// `GET /v2/a/blobs/sha256:ab 206 92`
fn content(line: &str) -> Option<(String, u64)> {
    let mut words = line.split(' ');
    let (method, path, status, bytes) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let is_content = method == "GET" && matches!(status, "200" | "206") && path != "/v2/";
    is_content.then(|| Some((path.to_owned(), bytes.parse().ok()?)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_with_content_are_counted() {
        let line = "GET /v2/a/blobs/sha256:ab 206 92";
        assert_eq!(content(line), Some(("/v2/a/blobs/sha256:ab".to_owned(), 92)));
        for other in [
            "HEAD /v2/a/blobs/sha256:ab 200 0",
            "GET /v2/a 404 5",
            "GET /v2/ 200 2",
        ] {
            assert_eq!(content(other), None);
        }
    }
}
