//! Whose quota a call is taken from.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;

use http::Request;
use mainstay_core::{RequestContext, TenantId};

use super::KeyPart;
use crate::load::route_in;

/// What is known of a call that may be part of a key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Caller<'a> {
    pub(super) client: Option<IpAddr>,
    pub(super) tenant: Option<&'a str>,
    pub(super) route: Option<&'a str>,
}

impl<'a> Caller<'a> {
    pub(super) fn of<B>(request: &'a Request<B>) -> Self {
        let context = request.extensions().get::<RequestContext>();
        Self {
            client: context.and_then(RequestContext::client_address),
            tenant: context.and_then(RequestContext::tenant).map(TenantId::as_str),
            route: route_in(request.extensions()),
        }
    }

    /// The parts as one number that nobody outside can foresee.
    pub(super) fn hash(&self, parts: &[KeyPart], keys: &RandomState) -> u64 {
        let mut hasher = keys.build_hasher();
        for part in parts {
            match part {
                KeyPart::Client => self.client.map(network).hash(&mut hasher),
                KeyPart::Tenant => self.tenant.hash(&mut hasher),
                KeyPart::Route => self.route.hash(&mut hasher),
            }
        }
        hasher.finish()
    }
}

/// What stands for one client: an IPv4 address, or the /64 network that an IPv6 client can choose its addresses from.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        // No IPv6 network in use begins with 32 zero bits.
        IpAddr::V4(address) => u64::from(u32::from(address)),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            [a, b, c, d].into_iter().fold(0, |network, segment| network << 16 | u64::from(segment))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use super::{Caller, network};
    use crate::rate_limit::KeyPart;

    #[test]
    fn an_ipv6_client_is_its_network_and_a_mapped_address_is_ipv4() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
    }

    #[test]
    fn a_part_counts_only_where_the_policy_asks_and_a_missing_one_is_a_value() {
        let keys = RandomState::new();
        let hash =
            |tenant, route, parts: &[KeyPart]| Caller { client: None, tenant, route }.hash(parts, &keys);
        let both = [KeyPart::Tenant, KeyPart::Route];
        assert_eq!(hash(Some("a"), Some("/x"), &both[..1]), hash(Some("a"), None, &both[..1]));
        assert_ne!(hash(Some("a"), Some("/x"), &both), hash(Some("a"), None, &both));
        assert_ne!(hash(Some("a"), Some("bc"), &both), hash(Some("ab"), Some("c"), &both));
        assert_ne!(hash(None, None, &both), hash(Some(""), None, &both));
        assert_eq!(hash(Some("a"), None, &[]), hash(None, Some("/x"), &[]));
    }
}
