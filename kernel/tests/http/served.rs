//! A kernel's HTTP side on a free port, and a client that can misbehave: bytes in, bytes out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use commerce_kernel::config::Config;
use commerce_kernel::http::response_cache::ResponseCache;
use commerce_kernel::http::{self, Http};
use commerce_kernel::telemetry::Metrics;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub struct Served {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Served {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With settings as their environment variables.
    pub async fn with(variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::load(None, variables).unwrap();
        let cache = Arc::new(ResponseCache::new(config.http.cache_mib, None));
        let http = Http::new(config.http, &config.rate_limits, Metrics::new().unwrap(), cache).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(http::serve(http, listener, async {
            let _ = stopped.await;
        }));
        Self { address, stop: Some(stop), serving }
    }

    pub async fn connect(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap() }
    }

    /// One request on a connection of its own.
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            request.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        request.push_str(body);
        let mut client = self.connect().await;
        client.write(&request).await;
        Answer::parse(&client.read_to_end().await)
    }

    /// Tells the server to stop, as SIGTERM does.
    pub fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    pub async fn stopped(self) {
        tokio::time::timeout(Duration::from_secs(10), self.serving).await.expect("it should have stopped").unwrap();
    }
}

pub struct Client {
    stream: TcpStream,
}

impl Client {
    pub async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Whether the bytes could still be sent.
    pub async fn try_write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    pub async fn finish_writing(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Everything until the server closes; fails after ten seconds.
    pub async fn read_to_end(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(10), self.stream.read_to_end(&mut bytes)).await;
        // A reset after the answer is what a client that sent too much gets.
        let _ = read.expect("the server should have closed the connection");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What comes until a whole answer with a `Content-Length` is there.
    pub async fn read_answer(&mut self) -> Answer {
        let mut text = String::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let answer = Answer::parse(&text);
                let length = answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
                if body.len() >= length {
                    assert_eq!(body.len(), length, "more than one answer after {head}");
                    return answer;
                }
            }
            let read = tokio::time::timeout(Duration::from_secs(10), self.stream.read(&mut buffer)).await;
            let read = read.expect("an answer should have come").unwrap();
            assert!(read > 0, "closed in the middle of {text:?}");
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or_else(|| panic!("no answer in {text:?}"));
        let headers = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Self { status, headers: headers.collect(), body: body.to_owned() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    /// The code of a problem, checked to be one.
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert_eq!(self.header("x-request-id"), problem["request_id"].as_str());
        problem["code"].as_str().unwrap().to_owned()
    }
}
