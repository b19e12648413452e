//! Which addresses keys may be fetched from (`spec/auth.md` 9.3, A3, A35).
//!
//! An issuer is configured by the deployment, but the address of its keys and every redirect are chosen by
//! somebody else, who could point them into the network of this machine. So each address is checked before it is
//! asked, and names are checked again by what they resolve to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::issuer_url::is_loopback_host;
use super::rejection::shown_address;

/// How far a request for keys may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Public addresses over https: what a configured public issuer gets.
    Public,
    /// The same, and this machine over http or https: what an issuer on this machine gets.
    Loopback,
    /// Anything http(s): only where insecure issuers are allowed, in development.
    Anywhere,
}

/// Why an address is not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressRefusal {
    /// The scheme is neither https nor an allowed http.
    Scheme(String),
    /// The host is an address that is not public, or resolves to none that is.
    NotPublic(String),
}

impl fmt::Display for AddressRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme(scheme) => write!(f, "its scheme is {}, and only https is asked", shown_address(scheme)),
            Self::NotPublic(host) => write!(f, "{host} is not a public address"),
        }
    }
}

impl Reach {
    /// Checks what can be seen of an address without resolving its name.
    ///
    /// # Errors
    /// The scheme or the literal address is not allowed.
    pub fn check_url(self, url: &Url) -> Result<(), AddressRefusal> {
        let plain_allowed = match self {
            Self::Public => false,
            Self::Loopback => is_loopback_host(url),
            Self::Anywhere => true,
        };
        match url.scheme() {
            "https" => {}
            "http" if plain_allowed => {}
            other => return Err(AddressRefusal::Scheme(other.to_owned())),
        }
        match url.host() {
            Some(Host::Ipv4(address)) => self.check_address(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => self.check_address(IpAddr::V6(address)),
            Some(Host::Domain(_)) => Ok(()),
            None => Err(AddressRefusal::NotPublic("an address without a host".to_owned())),
        }
    }

    /// Checks an address that a name resolved to, or that stands in a URL.
    ///
    /// # Errors
    /// The address is not allowed.
    pub fn check_address(self, address: IpAddr) -> Result<(), AddressRefusal> {
        let allowed = match self {
            Self::Public => is_public(address),
            Self::Loopback => is_public(address) || address.to_canonical().is_loopback(),
            Self::Anywhere => true,
        };
        if allowed { Ok(()) } else { Err(AddressRefusal::NotPublic(address.to_string())) }
    }
}

/// Whether an address is one of the public Internet, by IANA's registries of special-purpose addresses.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(inner) => is_public_v4(inner),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = a == 0 // this network
        || (a == 100 && (64..128).contains(&b)) // shared by carriers
        || (a == 192 && b == 0 && c == 0) // protocol assignments
        || (a == 192 && b == 88 && c == 99) // relays to IPv6
        || (a == 198 && (18..20).contains(&b)) // benchmarks
        || a >= 240; // reserved, broadcast
    !(special
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let global_unicast = a & 0xe000 == 0x2000;
    let special = match a {
        0x2001 => b < 0x0200 || b == 0x0db8, // protocol assignments and tunnels; documentation
        0x2002 => true,                      // tunnels that name an IPv4 address
        0x3fff => b < 0x1000,                // documentation
        _ => false,
    };
    global_unicast && !special
}

/// The IPv4 address inside: of a mapped address, or of the well-known prefix that networks without IPv4 use.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., high, low] = address.segments();
    let well_known = matches!(address.segments(), [0x64, 0xff9b, 0, 0, 0, 0, _, _]);
    let inner = || Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    address.to_ipv4_mapped().or_else(|| well_known.then(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().unwrap())
    }

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for text in
            ["1.1.1.1", "100.63.0.1", "100.128.0.1", "172.32.0.1", "198.20.0.1", "2606:4700::1111", "2001:4860::8888"]
        {
            assert!(public(text), "{text}");
        }
        assert!(public("::ffff:1.1.1.1") && public("64:ff9b::101:101"));
        for text in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "3fff::1",
            "fc00::1",
            "fd00::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!public(text), "{text}");
        }
    }

    /// spec: A3, A35
    #[test]
    fn each_reach_allows_its_addresses() {
        use Reach::{Anywhere, Loopback, Public};
        for (url, allowed) in [
            ("https://id.acme.dev/keys", &[Public, Loopback, Anywhere][..]),
            ("https://1.1.1.1", &[Public, Loopback, Anywhere]),
            ("http://id.acme.dev", &[Anywhere]),
            ("http://127.0.0.1:3210", &[Loopback, Anywhere]),
            ("https://127.0.0.1", &[Loopback, Anywhere]),
            ("http://localhost:3210", &[Loopback, Anywhere]),
            ("http://[::1]:1", &[Loopback, Anywhere]),
            ("https://10.0.0.1", &[Anywhere]),
            ("http://10.0.0.1", &[Anywhere]),
            ("http://169.254.169.254/latest", &[Anywhere]),
            ("https://[::ffff:10.0.0.1]", &[Anywhere]),
            ("https://0x7f.1", &[Loopback, Anywhere]),
            ("file:///etc/passwd", &[]),
            ("ftp://id.acme.dev", &[]),
            ("data:,x", &[]),
        ] {
            let url = Url::parse(url).unwrap();
            for reach in [Public, Loopback, Anywhere] {
                assert_eq!(reach.check_url(&url).is_ok(), allowed.contains(&reach), "{url} {reach:?}");
            }
        }
    }
}
