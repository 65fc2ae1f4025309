//! What `wit-bindgen` makes of `kernel/wit`. Authors never see it: every module of the SDK wraps its part.
#![allow(missing_docs, clippy::all)]

wit_bindgen::generate!({
    path: "../../kernel/wit",
    world: "plugin",
    pub_export_macro: true,
    export_macro_name: "export_plugin",
    default_bindings_module: "commerce_sdk::__private::bindings",
});
