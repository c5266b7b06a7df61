//! A way from a daemon to its database that the test has in its hand: it cuts, refuses, holds up and slows connections, and
//! leads to another server when that one takes over.

#![expect(clippy::disallowed_methods, reason = "real connections live in the machine's time")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It goes on at once.
    Open,
    /// Connections are closed as soon as they are made.
    Refused,
    /// Nothing goes on, and nobody is told.
    Held,
    /// It goes on after so long.
    Slow(Duration),
}

#[derive(Clone)]
struct Now {
    way: Way,
    to: SocketAddr,
    /// Connections of an earlier number are cut.
    cut: u64,
}

/// One daemon's way. It ends with the test's runtime.
pub struct Proxy {
    /// Where the daemon connects to.
    pub at: SocketAddr,
    now: watch::Sender<Now>,
    /// Ports of its connections to the server, as that knows them.
    ports: Ports,
}

type Ports = Arc<Mutex<BTreeSet<u16>>>;

impl Proxy {
    /// A free port that leads to this server.
    pub async fn begin(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = listener.local_addr().expect("an address");
        let now = watch::Sender::new(Now { way: Way::Open, to, cut: 0 });
        let (told, ports) = (now.subscribe(), Ports::default());
        let open = ports.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, told.clone(), open.clone()));
            }
        });
        Self { at, now, ports }
    }

    /// The ports of what is connected, as the server knows them.
    pub fn ports(&self) -> BTreeSet<u16> {
        self.ports.lock().expect("no panic while held").clone()
    }

    /// From now on, for what is connected as well; where it is refused, that is cut.
    pub fn set(&self, way: Way) {
        self.now.send_modify(|now| {
            now.way = way;
            now.cut += u64::from(way == Way::Refused);
        });
    }

    /// Cuts all connections. New ones can be made.
    pub fn cut(&self) {
        self.now.send_modify(|now| now.cut += 1);
    }

    /// Leads to another server, for what is connected from now on.
    pub fn lead_to(&self, to: SocketAddr) {
        self.now.send_modify(|now| {
            now.to = to;
            now.cut += 1;
        });
    }
}

async fn carry(near: TcpStream, mut told: watch::Receiver<Now>, ports: Ports) {
    let begun = told.borrow_and_update().clone();
    if begun.way == Way::Refused {
        return;
    }
    let Ok(far) = TcpStream::connect(begun.to).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let port = far.local_addr().expect("an address").port();
    ports.lock().expect("no panic while held").insert(port);
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    // Whichever ends first ends both.
    tokio::select! {
        () = one_way(near_read, far_write, told.clone()) => {}
        () = one_way(far_read, near_write, told.clone()) => {}
        _ = told.wait_for(|now| now.cut != begun.cut) => {}
    }
    ports.lock().expect("no panic while held").remove(&port);
}

async fn one_way(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut told: watch::Receiver<Now>,
) {
    let mut bytes = vec![0; 16_384];
    loop {
        let Ok(n @ 1..) = from.read(&mut bytes).await else { return };
        let way = match told.wait_for(|now| now.way != Way::Held).await {
            Ok(now) => now.way,
            Err(_) => return,
        };
        if let Way::Slow(by) = way {
            tokio::time::sleep(by).await;
        }
        if to.write_all(&bytes[..n]).await.is_err() {
            return;
        }
    }
}
