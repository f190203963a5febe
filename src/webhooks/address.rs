//! Which addresses a webhook may be sent to. Whoever can write a URL, or what a name means, must not reach what only the hub can reach: the host itself, the
//! network around it, the cloud's metadata.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// IPv4 networks that are not public (IANA's registry of special purposes, RFC 6890 and those that came later), with multicast and what is reserved.
const SPECIAL_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Of IPv6 only 2000::/3 is public (RFC 4291), and of that not these: protocol assignments with Teredo, documentation, 6to4.
const SPECIAL_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Where webhooks may be sent: to every public address, and to these networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Allowed(Vec<IpNet>);

impl Allowed {
    /// Reads networks such as `10.0.0.0/8`, and addresses; gives the first word that is neither.
    pub(crate) fn parse(words: &[String]) -> Result<Self, &str> {
        let network = |word: &String| word.parse::<IpNet>().ok().or_else(|| word.parse::<IpAddr>().ok().map(IpNet::from));
        words.iter().map(|word| network(word).ok_or(word.as_str())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether something may be sent there. An address that carries another one inside it must be allowed to go to both.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => is_public_v4(v4) || self.names(address),
            IpAddr::V6(v6) => match (mapped(v6), translated(v6)) {
                // The same socket by another name.
                (Some(v4), _) => self.allows(v4.into()),
                (None, Some(v4)) => self.names(address) && self.allows(v4.into()),
                (None, None) => is_public_v6(v6) || self.names(address),
            },
        }
    }

    fn names(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    !SPECIAL_V4.iter().any(|(network, length)| (bits ^ network.to_bits()) >> (32 - length) == 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = address.to_bits();
    let is_in = |(network, length): &(Ipv6Addr, u32)| (bits ^ network.to_bits()) >> (128 - length) == 0;
    bits >> 125 == 0b001 && !SPECIAL_V6.iter().any(is_in)
}

/// The IPv4 address that `::ffff:a.b.c.d`, or the older `::a.b.c.d`, is.
fn mapped(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] => Some(low(address)),
        // `::` and `::1` are what they are.
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => Some(low(address)),
        _ => None,
    }
}

/// The IPv4 address that a translator or a tunnel makes of it: NAT64 (RFC 6052, RFC 8215) or 6to4 (RFC 3056).
fn translated(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => Some(low(address)),
        [0x2002, high, low, ..] => Some(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low))),
        _ => None,
    }
}

fn low(address: Ipv6Addr) -> Ipv4Addr {
    let [.., high, low] = address.segments();
    Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(words: &[&str]) -> Allowed {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Allowed::parse(&words).expect("networks")
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn public_addresses_are_open() {
        let none = allowed(&[]);
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "2001:200::1",
            "2003::1",
            "::ffff:1.1.1.1",
        ] {
            assert!(none.allows(address(text)), "{text}");
        }
    }

    #[test]
    fn what_only_the_hub_can_reach_is_closed_in_every_way_of_writing_it() {
        let none = allowed(&[]);
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            // IPv6: unspecified, loopback, link-local, unique local, the old site-local, multicast, discard, documentation,
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12:3456::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "2001:db8::1",
            "3fff::1",
            "5f00::1",
            // Teredo, ORCHID, benchmarking, AWS's metadata by IPv6,
            "2001::1",
            "2001:20::1",
            "2001:2::1",
            "fd00:ec2::254",
            // and IPv4 inside: mapped, compatible, 6to4, NAT64, also where what is inside is public.
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.0.0.1",
            "::ffff:0:0",
            "::127.0.0.1",
            "::10.0.0.1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2002:101:101::",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::101:101",
            "64:ff9b:1::a00:1",
            "::ffff:0:127.0.0.1",
        ] {
            assert!(!none.allows(address(text)), "{text}");
        }
    }

    #[test]
    fn a_network_that_is_named_is_open_and_no_other() {
        let some = allowed(&["10.1.0.0/16", "127.0.0.1", "fd12::/16"]);
        for (text, open) in [
            ("10.1.2.3", true),
            ("10.2.0.0", false),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("::ffff:10.1.2.3", true),
            ("::ffff:10.2.0.1", false),
            ("fd12::1", true),
            ("fd13::1", false),
            ("169.254.169.254", false),
            ("::1", false),
        ] {
            assert_eq!(some.allows(address(text)), open, "{text}");
        }
        // Who opens a translator's network opens the public addresses behind it.
        let nat64 = allowed(&["64:ff9b::/96"]);
        assert!(nat64.allows(address("64:ff9b::101:101")));
        assert!(!nat64.allows(address("64:ff9b::7f00:1")) && !nat64.allows(address("64:ff9b::a9fe:a9fe")));
        assert_eq!(Allowed::parse(&["10.0.0.0/8".to_owned(), "10.0.0.0/99".to_owned()]), Err("10.0.0.0/99"));
    }
}
