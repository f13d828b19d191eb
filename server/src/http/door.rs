//! The door: limits the connections of callers who are not authenticated.
//!
//! A connection belongs to a stranger until it has carried a request with a session or a key. The number of strangers'
//! connections is limited, in total and per address. At a limit the oldest connection is closed for the new one: the
//! oldest of the same address or, at the limit in total, the oldest of the address with the most connections. So a
//! caller that opens idle connections cannot lock out other callers, or use up the files that deliveries need.
//! Connections of trusted proxies carry the requests of many clients and are never closed by the door.
//!
//! The HTTP library limits the time of heads and handshakes. The module `body` limits the time of bodies.

use super::client::network;
use super::proxy::Proxies;
use axum_server::accept::Accept;
use model::number::to_usize;
use std::collections::{BTreeMap, HashMap};
use std::future::{Ready, ready};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tower_http::add_extension::AddExtension;

/// Limits of strangers' connections.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// The limit in total.
    pub total: usize,
    /// The limit per address, or per IPv6 network of 64 bits.
    pub per_address: usize,
}

impl Capacity {
    /// Returns limits far below the limit of open files, since deliveries and the database need files too.
    pub fn of_files(limit: u64) -> Self {
        let total = to_usize(limit / 8).clamp(16, 1000);
        Self { total, per_address: total.min(200) }
    }
}

/// The connections of strangers by address, the oldest of each address first.
#[derive(Default)]
struct Strangers {
    of: HashMap<IpAddr, BTreeMap<u64, CancellationToken>>,
    total: usize,
    next: u64,
}

impl Strangers {
    fn remove(&mut self, from: IpAddr, number: u64) -> Option<CancellationToken> {
        let of_one = self.of.get_mut(&from)?;
        let closed = of_one.remove(&number)?;
        if of_one.is_empty() {
            self.of.remove(&from);
        }
        self.total -= 1;
        Some(closed)
    }

    /// Closes the oldest connection of an address.
    fn close_oldest(&mut self, from: IpAddr) {
        let oldest = self.of.get(&from).and_then(|of_one| of_one.keys().next().copied());
        if let Some(closed) = oldest.and_then(|oldest| self.remove(from, oldest)) {
            closed.cancel();
        }
    }

    fn most_connected(&self) -> Option<IpAddr> {
        self.of.iter().max_by_key(|(_, of_one)| of_one.len()).map(|(from, _)| *from)
    }
}

/// Accepts connections. Clones share the limits.
#[derive(Clone)]
pub struct Door {
    strangers: Arc<Mutex<Strangers>>,
    capacity: Capacity,
    proxies: Arc<Proxies>,
}

impl Door {
    /// Returns a door with this capacity for strangers.
    pub fn new(capacity: Capacity, proxies: Arc<Proxies>) -> Self {
        Self { strangers: Arc::default(), capacity, proxies }
    }

    /// Admits a connection. Connections of trusted proxies are not counted.
    fn enter(&self, peer: IpAddr) -> Caller {
        let closed = CancellationToken::new();
        if self.proxies.is_trusted(peer) {
            return Caller { entry: None, closed };
        }
        let from = network(peer);
        let mut strangers = lock(&self.strangers);
        if strangers.of.get(&from).is_some_and(|of_one| of_one.len() >= self.capacity.per_address) {
            strangers.close_oldest(from);
        } else if strangers.total >= self.capacity.total
            && let Some(from) = strangers.most_connected()
        {
            strangers.close_oldest(from);
        }
        let number = strangers.next;
        strangers.next += 1;
        strangers.total += 1;
        strangers.of.entry(from).or_default().insert(number, closed.clone());
        Caller { entry: Some(Entry { strangers: self.strangers.clone(), from, number }), closed }
    }
}

fn lock(strangers: &Mutex<Strangers>) -> MutexGuard<'_, Strangers> {
    strangers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a connection among those of strangers until it is dropped.
struct Entry {
    strangers: Arc<Mutex<Strangers>>,
    from: IpAddr,
    number: u64,
}

impl Entry {
    fn leave(&self) {
        lock(&self.strangers).remove(self.from, self.number);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Request extension: the connection that carries the request.
pub struct Caller {
    entry: Option<Entry>,
    closed: CancellationToken,
}

impl Caller {
    /// Stops counting the connection as a stranger's: it has carried an authenticated request.
    pub fn is_known(&self) {
        if let Some(entry) = &self.entry {
            entry.leave();
        }
    }
}

impl<S> Accept<TcpStream, S> for Door {
    type Stream = Connection;
    type Service = AddExtension<S, Arc<Caller>>;
    type Future = Ready<io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let accepted = stream.peer_addr().and_then(|peer| {
            stream.set_nodelay(true)?;
            let caller = Arc::new(self.enter(peer.ip()));
            let closed = Box::pin(caller.closed.clone().cancelled_owned());
            Ok((Connection { stream, closed }, AddExtension::new(service, caller)))
        });
        ready(accepted)
    }
}

/// A connection that the door may close.
pub struct Connection {
    stream: TcpStream,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connection {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.closed.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(total: usize, per_address: usize) -> Door {
        let trusted = Proxies::new(None, vec!["10.9.0.0/16".parse().unwrap()]);
        Door::new(Capacity { total, per_address }, Arc::new(trusted))
    }

    #[test]
    fn door_closes_the_oldest_connection_of_the_address_with_the_most() {
        let door = door(4, 3);
        let from = |last: u8| IpAddr::from([192, 0, 2, last]);
        let silent: Vec<_> = (0..4).map(|_| door.enter(from(1))).collect();
        assert!(silent[0].closed.is_cancelled(), "the oldest of an address that has too many");
        let other = door.enter(from(2));
        assert!(!silent[1].closed.is_cancelled() && !other.closed.is_cancelled());
        let third = door.enter(from(3));
        assert!(silent[1].closed.is_cancelled(), "the total is too many: the oldest of the address that has the most");
        assert!(!other.closed.is_cancelled() && !third.closed.is_cancelled());

        other.is_known();
        drop(third);
        for _ in 0..10 {
            door.enter(from(4));
        }
        assert!(!other.closed.is_cancelled(), "an authenticated connection stays");
        drop((silent, other));
        let left = lock(&door.strangers);
        assert_eq!((left.total, left.of.len()), (0, 0));
    }

    #[test]
    fn door_does_not_limit_trusted_proxies() {
        let door = door(4, 2);
        let all: Vec<_> = (0..100).map(|_| door.enter([10, 9, 0, 1].into())).collect();
        assert!(all.iter().all(|caller| !caller.closed.is_cancelled()));
    }

    #[test]
    fn capacity_is_an_eighth_of_the_file_limit_and_at_most_1000() {
        assert_eq!(Capacity::of_files(1024).total, 128);
        assert_eq!(Capacity::of_files(1 << 20).total, 1000);
    }
}
