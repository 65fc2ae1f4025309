//! `settings`: the store a call is for, and what its staff set for this plugin. Needs no grant: both are the plugin's own
//! business.

use serde_json::json;

use super::super::bindings::imports::settings::Host;
use super::super::instance::CallState;

impl Host for CallState {
    fn store(&mut self) -> wasmtime::Result<String> {
        let store = self.context()?.tree.store();
        let text = json!({
            "id": store.id,
            "slug": store.slug,
            "name": store.name,
            "currency": store.currency,
            "currencies": store.currencies,
            "timezone": store.timezone,
        });
        Ok(text.to_string())
    }

    fn get(&mut self) -> wasmtime::Result<String> {
        let call = self.context()?;
        Ok(call
            .tree
            .installed()
            .settings_text(call.tree.store().number, &call.plugin)
            .to_string())
    }
}
