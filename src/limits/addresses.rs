//! How many connections an address has. IPv6 counts by /64, because that is what one customer of a provider gets; behind proxies that are named,
//! the address is the one that the nearest of them has seen.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use ipnet::IpNet;
use parking_lot::Mutex;

/// How many connections each address has.
type Taken = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// Counts connections by address. It knows as many addresses as there are connections.
#[derive(Debug)]
pub(crate) struct Addresses {
    most: AtomicUsize,
    taken: Taken,
}

impl Addresses {
    /// At most so many connections for each; 0 for any number.
    pub(super) fn new(most: usize) -> Self {
        Self { most: AtomicUsize::new(most), taken: Arc::default() }
    }

    /// Allows so many from now on; who has more keeps them. Those that came while any number was allowed are not counted.
    pub(super) fn allow(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// A seat for one connection of this address, or none if it has as many as it may.
    pub(crate) fn sit(&self, address: IpAddr) -> Option<AddressSeat> {
        let most = self.most.load(Ordering::Relaxed);
        if most == 0 {
            return Some(AddressSeat(None));
        }
        let address = network(address);
        let mut taken = self.taken.lock();
        let count = taken.entry(address).or_default();
        if most <= *count {
            return None;
        }
        *count += 1;
        Some(AddressSeat(Some((self.taken.clone(), address))))
    }
}

/// One connection of an address, until it is dropped.
#[derive(Debug)]
pub(crate) struct AddressSeat(Option<(Taken, IpAddr)>);

impl Drop for AddressSeat {
    fn drop(&mut self) {
        let Some((taken, address)) = &self.0 else { return };
        let mut taken = taken.lock();
        if let Some(count) = taken.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(address);
            }
        }
    }
}

/// What counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

/// The proxies whose word is taken for where a request comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Those of these networks, such as `10.0.0.0/8`, and addresses. The error is the word that is neither.
    pub(crate) fn parse(words: &[String]) -> Result<Self, String> {
        let network = |word: &String| {
            let network = word.parse::<IpNet>().ok().or_else(|| Some(IpNet::from(word.parse::<IpAddr>().ok()?)));
            network.ok_or_else(|| word.clone())
        };
        words.iter().map(network).collect::<Result<_, _>>().map(Self)
    }

    /// Whether this is one of them.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whose request it is that `peer` sends with these values of `X-Forwarded-For`: the last of them that is no proxy of ours. What is before it
    /// was written by whoever that is, and says nothing. Values of peers that are no proxies are not looked at.
    pub(crate) fn client<'a>(&self, peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'a str>) -> IpAddr {
        let mut client = peer.to_canonical();
        let mut hops = forwarded.rev().flat_map(|value| value.rsplit(',')).map(str::trim);
        while self.has(client) {
            // A hop that is not understood was not written by a proxy that is to be trusted; then it is the proxy that counts.
            let Some(hop) = hops.next().and_then(address) else { break };
            client = hop;
        }
        client
    }
}

/// An address as proxies write it: some put the port behind it.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    bare.parse::<IpAddr>().ok().or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn seats_are_counted_by_network_and_given_back() {
        let addresses = Addresses::new(2);
        for [first, second, third, other] in [
            ["192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"],
            ["2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:1:ffff::", "2001:db8:0:2::1"],
        ] {
            let seats = [first, second].map(|text| addresses.sit(ip(text)).expect("room"));
            assert!(addresses.sit(ip(third)).is_none(), "{third} is the same");
            assert!(addresses.sit(ip(other)).is_some(), "{other} is another");
            drop(seats);
            assert!(addresses.sit(ip(third)).is_some());
        }
        assert!(addresses.taken.lock().is_empty(), "nothing is remembered of those who have gone");
    }

    #[test]
    fn only_what_a_proxy_has_seen_counts() {
        let proxies = Proxies::parse(&["10.0.0.0/8".to_owned(), "2001:db8::5".to_owned()]).expect("networks");
        for (peer, forwarded, client) in [
            ("192.0.2.1", vec!["198.51.100.7"], "192.0.2.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec!["198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.0.0.1", vec!["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", vec!["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", vec!["1.1.1.1", "198.51.100.7,10.9.9.9"], "198.51.100.7"),
            ("10.0.0.1", vec!["198.51.100.7", "10.9.9.9"], "198.51.100.7"),
            ("10.0.0.1", vec!["10.1.1.1, 10.9.9.9"], "10.1.1.1"),
            ("10.0.0.1", vec!["1.1.1.1, nonsense"], "10.0.0.1"),
            ("10.0.0.1", vec!["198.51.100.7:4711"], "198.51.100.7"),
            ("10.0.0.1", vec!["[2001:db8::9]:4711"], "2001:db8::9"),
            ("2001:db8::5", vec!["2001:db8::9"], "2001:db8::9"),
            ("10.0.0.1", vec!["", "::ffff:198.51.100.7"], "198.51.100.7"),
        ] {
            assert_eq!(proxies.client(ip(peer), forwarded.iter().copied()), ip(client), "{peer} {forwarded:?}");
        }
        assert_eq!(Proxies::parse(&["10.0.0.0/99".to_owned()]).expect_err("no network"), "10.0.0.0/99");
    }
}
