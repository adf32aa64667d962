//! The raw client: one connection for all requests, and the same checks as Harbor's client.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use world::Harbor;
use world::harbor::{HarborError, State, Wish};

const PENDING: &str = r#"{"id":7,"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z","state":"PENDING","result":null}"#;
const SUCCESS: &str = r#"{"id":7,"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:09Z","state":"SUCCESS","result":{"job_states":[]}}"#;
const LIMIT: Duration = Duration::from_secs(20);

/// A manager that sends these responses, one list per connection, and returns the requests.
fn manager(connections: Vec<Vec<String>>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let thread = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for answers in connections {
            let (stream, _) = listener.accept().expect("a connection");
            let mut stream = BufReader::new(stream);
            for answer in answers {
                requests.push(request(&mut stream));
                stream.get_mut().write_all(answer.as_bytes()).expect("written");
            }
        }
        requests
    });
    (address, thread)
}

/// Reads one request.
fn request(stream: &mut BufReader<TcpStream>) -> String {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        stream.read_line(&mut text).expect("a line");
    }
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("a body");
    text + std::str::from_utf8(&body).expect("text")
}

fn sized(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn chunked(body: &str) -> String {
    let (first, second) = body.split_at(10);
    let rest = second.len();
    format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\n{first}\r\n{rest:x}\r\n{second}\r\n0\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_request_and_polls() {
    let healthy = "HTTP/1.1 204 No Content\r\n\r\n".to_owned();
    let (address, requests) = manager(vec![vec![
        healthy,
        sized(PENDING),
        chunked(PENDING),
        sized(SUCCESS),
    ]]);
    let mut harbor = Harbor::oauth(&address, "stub-token");
    harbor.healthy().await.expect("healthy");
    let created = harbor
        .preheat(&Wish::new("http://r/v2/a/manifests/v1").jwt("a.b.c"))
        .await
        .expect("accepted");
    let done = harbor.until_done(created.id, LIMIT).await;
    assert_eq!(done.state, State::Success);
    let requests = requests.join().expect("the manager");
    assert!(requests[0].starts_with("GET /healthy HTTP/1.1\r\nHost: "));
    assert!(
        requests[1].starts_with("POST /oapi/v1/jobs HTTP/1.1\r\n")
            && requests[1].contains("\"Bearer a.b.c\"")
    );
    assert!(requests[3].starts_with("GET /oapi/v1/jobs/7 HTTP/1.1\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_loop_can_survive_a_restart() {
    // The second connection ends without an answer.
    let (address, requests) = manager(vec![
        vec![sized(PENDING)],
        vec![],
        vec![sized(PENDING), sized(SUCCESS)],
    ]);
    let mut harbor = Harbor::oauth(&address, "stub-token");
    assert_eq!(
        harbor.until_done_across_restarts(7, LIMIT).await.state,
        State::Success
    );
    assert_eq!(requests.join().expect("the manager").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_harbor_rejects_is_an_error() {
    let refused = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno".to_owned();
    let already = format!(
        "HTTP/1.1 208 Already Reported\r\ncontent-length: {}\r\n\r\n{PENDING}",
        PENDING.len()
    );
    let unknown = sized(&PENDING.replace("PENDING", "RUNNING"));
    let (address, _requests) = manager(vec![vec![refused, already, unknown]]);
    let mut harbor = Harbor::oauth(&address, "stub-token");
    for expected in [401, 208] {
        let error = harbor.poll(7).await.expect_err("refused");
        assert!(
            matches!(error, HarborError::Refused { status, .. } if status == expected),
            "{error}"
        );
    }
    assert!(matches!(harbor.poll(7).await, Err(HarborError::Misread(_))));
}
