//! What the benchmarks share: a load generator cheap enough to stand beside the server, medians, and the disk's own speed.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// One HTTP/1.1 connection that is kept open.
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
    out: Vec<u8>,
}

impl Connection {
    pub async fn open(to: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(4096), out: Vec::with_capacity(4096) })
    }

    /// Posts `body` and returns the status.
    pub async fn post(&mut self, path: &str, authorization: &str, body: &[u8]) -> std::io::Result<u16> {
        self.out.clear();
        write!(
            self.out,
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nauthorization: {authorization}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )?;
        self.out.extend_from_slice(body);
        self.stream.write_all(&self.out).await?;
        self.answer().await
    }

    async fn answer(&mut self) -> std::io::Result<u16> {
        self.read.clear();
        let broken = || std::io::Error::other("broken answer");
        loop {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let Some(end) = self.read.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&self.read[..end]).map_err(|_| broken())?;
            let length: usize = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(Ok(0), |(_, value)| value.trim().parse())
                .map_err(|_| broken())?;
            let status = head.get(9..12).and_then(|s| s.parse().ok()).ok_or_else(broken)?;
            while self.read.len() < end + 4 + length {
                if self.stream.read_buf(&mut self.read).await? == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
            }
            return Ok(status);
        }
    }
}

/// What a load came to.
pub struct Load {
    /// Requests answered 2xx.
    pub accepted: u64,
    /// From first to last.
    pub took: Duration,
    /// Time to answer of each, sorted.
    pub latencies: Vec<Duration>,
}

impl Load {
    pub fn per_second(&self) -> f64 {
        self.accepted as f64 / self.took.as_secs_f64()
    }
    /// `share` of 0.5 is the median, 0.99 the ninety-ninth percentile.
    pub fn quantile(&self, share: f64) -> Duration {
        quantile(&self.latencies, share)
    }
}

/// As fast as `connections` can, until `requests` were sent. `body` gets the request's number.
pub async fn flood(
    to: SocketAddr,
    path: &'static str,
    authorization: &'static str,
    connections: usize,
    requests: u64,
    body: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static,
) -> Load {
    let next = Arc::new(AtomicU64::new(0));
    let due = move || {
        let n = next.fetch_add(1, Ordering::Relaxed);
        std::future::ready((n < requests).then(|| (n, Instant::now())))
    };
    load(to, path, authorization, (0..connections).map(|_| due.clone()), body).await
}

/// Like [`flood`], but one request each `every`, whatever the answers do (open loop: latency counts from the
/// instant at which the request was due).
pub async fn paced(
    to: SocketAddr,
    path: &'static str,
    authorization: &'static str,
    connections: usize,
    requests: u64,
    every: Duration,
    body: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static,
) -> Load {
    let (pace, receivers) = pace(connections, requests, every);
    let dues = receivers.into_iter().map(|receiver: UnboundedReceiver<(u64, Instant)>| {
        let receiver = Arc::new(Mutex::new(receiver));
        move || {
            let receiver = receiver.clone();
            async move { receiver.lock().await.recv().await }
        }
    });
    let load = load(to, path, authorization, dues, body).await;
    pace.join().expect("the pace to be kept");
    load
}

/// Tells so many, by turns, what is due when.
pub fn pace(
    receivers: usize,
    requests: u64,
    every: Duration,
) -> (std::thread::JoinHandle<()>, Vec<UnboundedReceiver<(u64, Instant)>>) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..receivers).map(|_| unbounded_channel()).unzip();
    // A thread: the runtime's timers know only whole milliseconds.
    let pace = std::thread::spawn(move || {
        let start = Instant::now();
        for (n, to) in (0..requests).zip(senders.iter().cycle()) {
            let due = start + every * u32::try_from(n).expect("a bounded load");
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            to.send((n, due)).expect("a connection of the load");
        }
    });
    (pace, receivers)
}

/// One connection for each of `dues`, which say what to send next and since when it is due.
async fn load<D, F>(
    to: SocketAddr,
    path: &'static str,
    authorization: &'static str,
    dues: impl Iterator<Item = D>,
    body: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static,
) -> Load
where
    D: Fn() -> F + Send + 'static,
    F: Future<Output = Option<(u64, Instant)>> + Send,
{
    let body = Arc::new(body);
    let start = Instant::now();
    let tasks: Vec<_> = dues
        .map(|due| {
            let body = body.clone();
            tokio::spawn(async move {
                let mut connection = Connection::open(to).await.expect("the server listens");
                let mut latencies = Vec::new();
                while let Some((n, since)) = due().await {
                    let body = body(n);
                    let status = connection.post(path, authorization, &body).await.expect("an answer");
                    assert_eq!(status / 100, 2, "the server refused the load");
                    latencies.push(since.elapsed());
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.expect("a connection of the load"));
    }
    latencies.sort_unstable();
    Load { accepted: latencies.len() as u64, took: start.elapsed(), latencies }
}

/// Of a sorted list.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get(((last as f64) * share).round() as usize).copied().unwrap_or_default()
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median time of appending 1 KiB to a file in `folder` and `fdatasync`: the disk's own speed.
pub fn fdatasync_median(folder: &Path) -> Duration {
    let path = folder.join("fdatasync.probe");
    let mut file = File::create(&path).expect("a probe file");
    let block = [7_u8; 1024];
    let mut times: Vec<Duration> = (0..300)
        .map(|_| {
            let began = Instant::now();
            file.write_all(&block).expect("room for the probe");
            file.sync_data().expect("a disk that syncs");
            began.elapsed()
        })
        .collect();
    std::fs::remove_file(&path).expect("the probe to be removed");
    times.sort_unstable();
    quantile(&times, 0.5)
}

/// Resident memory of a process, in bytes.
pub fn resident_of(process: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{process}/statm")).unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
