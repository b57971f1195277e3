//! A TCP proxy that stalls, and that cuts its connections.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Passes,
    Stalls,
}

pub struct Proxy {
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
    /// Counts how often all connections were cut.
    cuts: watch::Sender<u64>,
}

impl Proxy {
    /// In front of a server.
    pub async fn of(server: (String, u16)) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            mode: watch::Sender::new(Mode::Passes),
            cuts: watch::Sender::new(0),
        });
        let (mode, cuts) = (proxy.mode.subscribe(), proxy.cuts.subscribe());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mode, mut cuts) = (mode.clone(), cuts.clone());
                let server = server.clone();
                cuts.mark_unchanged();
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(server).await else {
                        return;
                    };
                    let passes = pass(client, server, mode);
                    tokio::select! {
                        () = passes => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        proxy
    }

    pub fn stall(&self) {
        self.mode.send_replace(Mode::Stalls);
    }

    pub fn pass(&self) {
        self.mode.send_replace(Mode::Passes);
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, mode: watch::Receiver<Mode>) {
    // Dropped with unread data or not: the peer gets a reset, as from a crashed host.
    for socket in [&client, &server] {
        socket.set_zero_linger().unwrap();
    }
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    tokio::select! {
        () = copy(&mut from_client, &mut to_server, mode.clone()) => {}
        () = copy(&mut from_server, &mut to_client, mode) => {}
    }
}

async fn copy(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    mut mode: watch::Receiver<Mode>,
) {
    let mut chunk = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut chunk).await {
        if mode.wait_for(|mode| *mode == Mode::Passes).await.is_err()
            || to.write_all(&chunk[..n]).await.is_err()
        {
            return;
        }
    }
}
