//! How many connections there may be, in all and from one address.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::Edge;
use crate::http::network_of;

/// A connection's share of the limits, given back when it ends.
pub(super) struct Place {
    edge: Arc<Edge>,
    address: Option<IpAddr>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    pub fn take(edge: &Arc<Edge>, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Self> {
        let counted = (!edge.http.proxies.trusts(address)).then(|| network_of(address));
        if let Some(address) = counted {
            let mut by_address = edge.by_address.lock();
            let open = by_address.entry(address).or_insert(0);
            if *open >= edge.http.config.connections_per_address {
                tracing::debug!(%address, "too many connections from one address");
                return None;
            }
            *open += 1;
        }
        edge.http.metrics.connections.inc();
        Some(Self {
            edge: edge.clone(),
            address: counted,
            _permit: permit,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.edge.http.metrics.connections.dec();
        let Some(address) = self.address else { return };
        let mut by_address = self.edge.by_address.lock();
        if let Some(open) = by_address.get_mut(&address) {
            *open -= 1;
            if *open == 0 {
                by_address.remove(&address);
            }
        }
    }
}
