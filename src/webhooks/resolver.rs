//! Names of endpoints looked up, and what they may not mean left out. The connection is made to one of the addresses that were looked at: nobody looks the name up
//! again in between.

use std::{fmt, net::SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::Allowed;

/// Looks names up as the system does.
#[derive(Debug, Clone)]
pub(super) struct Resolver(pub(super) Allowed);

/// A name means only addresses that nothing may be sent to.
#[derive(Debug, thiserror::Error)]
pub(super) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its address is private, and webhooks.allow_private does not name it")
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let open: Vec<SocketAddr> = found.iter().filter(|address| allowed.allows(address.ip())).copied().collect();
            if open.is_empty() && !found.is_empty() {
                return Err(Refused.into());
            }
            Ok(Box::new(open.into_iter()) as Addrs)
        })
    }
}
