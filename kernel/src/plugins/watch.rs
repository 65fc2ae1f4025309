//! Following what other nodes change: what is installed is read again when the number of its topic has changed.

use std::sync::{Arc, Weak};

use super::registry::read_generation;
use super::{Inner, Plugins};
use crate::versions::{Load, Topic, Versions};

pub(super) fn follow(plugins: &Plugins, versions: &Versions) {
    let plugins = Arc::downgrade(&plugins.0);
    versions.on_change(Topic::Plugins, move || {
        let plugins = Weak::<Inner>::upgrade(&plugins).map(Plugins);
        async move {
            let Some(plugins) = plugins else {
                return Load::NobodyLeft;
            };
            match catch_up(&plugins).await {
                Ok(()) => Load::Done,
                Err(error) => {
                    tracing::warn!("plugins could not be loaded; trying again: {error:#}");
                    Load::Failed
                }
            }
        }
    });
}

/// Own changes have been read already.
async fn catch_up(plugins: &Plugins) -> anyhow::Result<()> {
    if read_generation(plugins.sql()).await? != plugins.installed().generation {
        plugins.reload().await?;
    }
    Ok(())
}
