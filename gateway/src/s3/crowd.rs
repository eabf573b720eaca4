//! A share of the connections for every address, so that one client cannot take them all.
//!
//! IPv6 clients have a network of 64 bits to themselves and are counted by it. Trusted proxies bring the clients of others and
//! are not counted. Who is over its share is closed on at once: what comes in is not looked at.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_rt::net::TcpStream;
use actix_web::dev::{Service, ServiceFactory};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use ipnet::IpNet;
use parking_lot::Mutex;

/// How many connections each address has.
#[derive(Clone)]
pub(super) struct Crowd {
    each_max: usize,
    uncounted: Arc<[IpNet]>,
    present: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A counted connection, as long as this lives.
#[derive(Debug)]
pub(super) struct Seat {
    present: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: Option<IpAddr>,
}

impl Crowd {
    pub(super) fn new(each_max: usize, uncounted: &[IpNet]) -> Self {
        Self { each_max, uncounted: uncounted.into(), present: Arc::default() }
    }

    /// A seat for one more connection from there, if its share is not used up.
    fn seat(&self, peer: IpAddr) -> Option<Seat> {
        let peer = peer.to_canonical();
        let present = Arc::clone(&self.present);
        if self.uncounted.iter().any(|network| network.contains(&peer)) {
            return Some(Seat { present, address: None });
        }
        let address = counted_as(peer);
        let mut counts = self.present.lock();
        let count = counts.entry(address).or_default();
        if *count >= self.each_max {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Seat { present, address: Some(address) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut counts = self.present.lock();
        let left = counts.get_mut(&address).map(|count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == Some(0) {
            counts.remove(&address);
        }
    }
}

fn counted_as(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// A service of connections that serves no address beyond its share.
pub(super) struct Seated<F> {
    pub(super) crowd: Crowd,
    pub(super) inner: F,
}

impl<F> ServiceFactory<TcpStream> for Seated<F>
where
    F: ServiceFactory<TcpStream, Response = ()>,
    F::Service: 'static,
    F::Future: 'static,
{
    type Response = ();
    type Error = F::Error;
    type Config = F::Config;
    type Service = Seated<F::Service>;
    type InitError = F::InitError;
    type Future = LocalBoxFuture<'static, Result<Self::Service, F::InitError>>;

    fn new_service(&self, config: F::Config) -> Self::Future {
        let crowd = self.crowd.clone();
        let making = self.inner.new_service(config);
        async move { Ok(Seated { crowd, inner: making.await? }) }.boxed_local()
    }
}

impl<S> Service<TcpStream> for Seated<S>
where
    S: Service<TcpStream, Response = ()>,
    S::Future: 'static,
{
    type Response = ();
    type Error = S::Error;
    type Future = LocalBoxFuture<'static, Result<(), S::Error>>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&self, connection: TcpStream) -> Self::Future {
        // Whose peer cannot be told has left already.
        let Ok(peer) = connection.peer_addr() else { return async { Ok(()) }.boxed_local() };
        let Some(seat) = self.crowd.seat(peer.ip()) else {
            tracing::debug!("an address has all the connections that it may have");
            return async { Ok(()) }.boxed_local();
        };
        let served = self.inner.call(connection);
        async move {
            let served = served.await;
            drop(seat);
            served
        }
        .boxed_local()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd() -> Crowd {
        Crowd::new(2, &["10.0.0.0/8".parse().unwrap()])
    }

    #[test]
    fn a_share_is_an_addresss_own_and_is_given_back() {
        let crowd = crowd();
        let seat = |address: &str| crowd.seat(address.parse().unwrap());
        let (first, _second) = (seat("192.0.2.1").unwrap(), seat("::ffff:192.0.2.1").unwrap());
        assert!(seat("192.0.2.1").is_none());
        let other = seat("192.0.2.2").unwrap();
        drop((first, other));
        assert!(seat("192.0.2.1").is_some());
        assert_eq!(crowd.present.lock().len(), 1, "who has left is still counted");
    }

    #[test]
    fn a_network_of_64_bits_is_one_client_and_a_trusted_proxy_is_many() {
        let crowd = crowd();
        let seats = ["2001:db8::1", "2001:db8::2:1", "2001:db8::3", "2001:db8:0:1::1"]
            .map(|address| crowd.seat(address.parse().unwrap()));
        assert_eq!(seats.each_ref().map(Option::is_some), [true, true, false, true]);
        let proxied: Vec<_> = (0..10).map(|_| crowd.seat("10.1.2.3".parse().unwrap())).collect();
        assert!(proxied.iter().all(Option::is_some));
    }
}
