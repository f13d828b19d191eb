//! The door: who may hold a connection open without being known.
//!
//! A connection is a stranger's until it has carried a request of somebody who is signed in or has a key. Strangers have
//! room for so many connections, in all and from each address; when it is full the oldest of them makes room for the
//! newest, of the address that has the most. So whoever opens connections and says nothing keeps nobody else out, and
//! takes no files from deliveries. Connections of trusted proxies carry everybody's requests: they are never closed so.
//!
//! How long heads and handshakes may take is up to the HTTP library; how long bodies may take, to `body`.

use super::client::network;
use super::proxy::Proxies;
use axum_server::accept::Accept;
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

/// How many connections of strangers there may be at once, in all and from one address.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// In all.
    pub total: usize,
    /// From one address, or one IPv6 network of 64 bits.
    pub per_address: usize,
}

impl Room {
    /// Far below the limit of open files: deliveries and the database need theirs.
    pub fn of_files(limit: u64) -> Self {
        let total = usize::try_from(limit / 8).unwrap_or(usize::MAX).clamp(16, 1000);
        Self { total, per_address: total.min(200) }
    }
}

/// The connections of strangers, by address; of each the oldest comes first.
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

    /// Closes the oldest of an address.
    fn close_oldest(&mut self, from: IpAddr) {
        let oldest = self.of.get(&from).and_then(|of_one| of_one.keys().next().copied());
        if let Some(closed) = oldest.and_then(|oldest| self.remove(from, oldest)) {
            closed.cancel();
        }
    }

    fn crowded(&self) -> Option<IpAddr> {
        self.of.iter().max_by_key(|(_, of_one)| of_one.len()).map(|(from, _)| *from)
    }
}

/// Where connections come in. Clones are the same door.
#[derive(Clone)]
pub struct Door {
    strangers: Arc<Mutex<Strangers>>,
    room: Room,
    proxies: Arc<Proxies>,
}

impl Door {
    /// A door with so much room for strangers.
    pub fn new(room: Room, proxies: Arc<Proxies>) -> Self {
        Self { strangers: Arc::default(), room, proxies }
    }

    /// Lets a connection in. Those of proxies have no number: they are nobody's.
    fn enter(&self, peer: IpAddr) -> Caller {
        let closed = CancellationToken::new();
        if self.proxies.is_trusted(peer) {
            return Caller { entry: None, closed };
        }
        let from = network(peer);
        let mut strangers = lock(&self.strangers);
        if strangers.of.get(&from).is_some_and(|of_one| of_one.len() >= self.room.per_address) {
            strangers.close_oldest(from);
        } else if strangers.total >= self.room.total
            && let Some(from) = strangers.crowded()
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

/// A connection's place among the strangers', for as long as it has one.
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
    /// Has its connection be a stranger's no more: it has carried a request of somebody known.
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
        Door::new(Room { total, per_address }, Arc::new(trusted))
    }

    #[test]
    fn whoever_says_nothing_makes_room_for_the_next_and_keeps_out_nobody() {
        let door = door(4, 3);
        let from = |last: u8| IpAddr::from([192, 0, 2, last]);
        let silent: Vec<_> = (0..4).map(|_| door.enter(from(1))).collect();
        assert!(silent[0].closed.is_cancelled(), "the oldest of an address that has too many");
        let other = door.enter(from(2));
        assert!(!silent[1].closed.is_cancelled() && !other.closed.is_cancelled());
        let third = door.enter(from(3));
        assert!(silent[1].closed.is_cancelled(), "there are too many: the oldest of who has the most");
        assert!(!other.closed.is_cancelled() && !third.closed.is_cancelled());

        other.is_known();
        drop(third);
        for _ in 0..10 {
            door.enter(from(4));
        }
        assert!(!other.closed.is_cancelled(), "whoever is known stays");
        drop((silent, other));
        let left = lock(&door.strangers);
        assert_eq!((left.total, left.of.len()), (0, 0));
    }

    #[test]
    fn a_trusted_proxy_has_as_many_connections_as_it_likes() {
        let door = door(4, 2);
        let all: Vec<_> = (0..100).map(|_| door.enter([10, 9, 0, 1].into())).collect();
        assert!(all.iter().all(|caller| !caller.closed.is_cancelled()));
    }

    #[test]
    fn there_is_less_room_than_files() {
        assert_eq!(Room::of_files(1024).total, 128);
        assert_eq!(Room::of_files(1 << 20).total, 1000);
    }
}
