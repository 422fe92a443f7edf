//! Whose request it is: the other end of the connection, or whom the proxy there speaks for.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};

/// The address of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientAddress(pub(super) IpAddr);

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer(pub(super) IpAddr);

impl ClientAddress {
    /// The address in the header that a proxy sets, when it is said which one that is; of several the last one, which
    /// is the one that the nearest proxy has added. The peer where there is none that can be read.
    pub(super) fn of(peer: Peer, headers: &HeaderMap, set_by_proxy: Option<&HeaderName>) -> Self {
        let told = set_by_proxy.and_then(|name| headers.get_all(name).iter().next_back());
        let told = told.and_then(|value| value.to_str().ok()?.rsplit(',').next()).map(str::trim);
        Self(told.and_then(read).unwrap_or(peer.0).to_canonical())
    }
}

/// An address with or without a port.
fn read(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip())).or_else(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_believed_only_by_the_header_that_was_named() {
        let peer = Peer("10.0.0.1".parse().unwrap());
        let name = HeaderName::from_static("x-real-ip");
        let told = |values: &[&str], name: Option<&HeaderName>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-real-ip", value.parse().unwrap());
            }
            ClientAddress::of(peer, &headers, name).0.to_string()
        };
        assert_eq!(told(&["192.0.2.1"], None), "10.0.0.1");
        for (values, address) in [
            (&[][..], "10.0.0.1"),
            (&["192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
            (&["203.0.113.9", "192.0.2.1"], "192.0.2.1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["[2001:db8::1]:443"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
            (&["unknown"], "10.0.0.1"),
            (&[""], "10.0.0.1"),
        ] {
            assert_eq!(told(values, Some(&name)), address, "{values:?}");
        }
    }
}
