//! Following what other nodes change: the version row is read each second, and what is installed is read again when it differs.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::registry::read_generation;
use super::{Inner, Plugins};

const EVERY: Duration = Duration::from_secs(1);

/// Ends by itself once nobody holds the plugins any more.
pub(super) fn follow(plugins: &Plugins) {
    let plugins = Arc::downgrade(&plugins.0);
    tokio::spawn(async move {
        let mut clock = tokio::time::interval(EVERY);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            clock.tick().await;
            let Some(plugins) = Weak::<Inner>::upgrade(&plugins).map(Plugins) else { return };
            if let Err(error) = catch_up(&plugins).await {
                tracing::warn!("can't learn what other nodes changed about plugins: {error:#}");
            }
        }
    });
}

async fn catch_up(plugins: &Plugins) -> anyhow::Result<()> {
    if read_generation(plugins.sql()).await? != plugins.installed().generation {
        plugins.reload().await?;
    }
    Ok(())
}
