//! The macros of `commerce-sdk`; its documentation has how they are used.
//!
//! An attribute leaves its function as it is and puts a type of the same name beside it, which implements the trait for
//! its kind (`Route`, `Function`, …): name and facts as constants, the types' schemas, and the call. [`plugin!`] refers
//! to those types and so becomes a `match` from names to calls.

mod handlers;
mod plugin;
mod route;
mod signature;

use proc_macro::TokenStream;
use syn::{ItemFn, parse_macro_input};

/// A handler of `GET`. See `commerce_sdk::routes`.
#[proc_macro_attribute]
pub fn get(options: TokenStream, function: TokenStream) -> TokenStream {
    route("GET", options, function)
}

/// A handler of `POST`. See `commerce_sdk::routes`.
#[proc_macro_attribute]
pub fn post(options: TokenStream, function: TokenStream) -> TokenStream {
    route("POST", options, function)
}

/// A handler of `PUT`. See `commerce_sdk::routes`.
#[proc_macro_attribute]
pub fn put(options: TokenStream, function: TokenStream) -> TokenStream {
    route("PUT", options, function)
}

/// A handler of `PATCH`. See `commerce_sdk::routes`.
#[proc_macro_attribute]
pub fn patch(options: TokenStream, function: TokenStream) -> TokenStream {
    route("PATCH", options, function)
}

/// A handler of `DELETE`. See `commerce_sdk::routes`.
#[proc_macro_attribute]
pub fn delete(options: TokenStream, function: TokenStream) -> TokenStream {
    route("DELETE", options, function)
}

/// A function for other plugins. See `commerce_sdk::functions`.
#[proc_macro_attribute]
pub fn function(options: TokenStream, function: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as handlers::FunctionOptions);
    expand(handlers::function(options, parse_macro_input!(function as ItemFn)))
}

/// A consumer of another plugin's event. See `commerce_sdk::events`.
#[proc_macro_attribute]
pub fn consumer(event: TokenStream, function: TokenStream) -> TokenStream {
    let event = parse_macro_input!(event as syn::LitStr);
    expand(handlers::consumer(event, parse_macro_input!(function as ItemFn)))
}

/// A job that this plugin schedules. See `commerce_sdk::jobs`.
#[proc_macro_attribute]
pub fn job(name: TokenStream, function: TokenStream) -> TokenStream {
    let name = parse_macro_input!(name as syn::LitStr);
    expand(handlers::job(name, parse_macro_input!(function as ItemFn)))
}

/// A job that runs at set times, once for each store. See `commerce_sdk::jobs`.
#[proc_macro_attribute]
pub fn schedule(options: TokenStream, function: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as handlers::ScheduleOptions);
    expand(handlers::schedule(options, parse_macro_input!(function as ItemFn)))
}

/// Makes the crate a plugin. See the front page of `commerce_sdk`.
#[proc_macro]
pub fn plugin(parts: TokenStream) -> TokenStream {
    expand(plugin::expand(parse_macro_input!(parts as plugin::Parts)))
}

fn route(method: &str, options: TokenStream, function: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as route::Options);
    expand(route::expand(method, options, parse_macro_input!(function as ItemFn)))
}

fn expand(tokens: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    tokens.unwrap_or_else(syn::Error::into_compile_error).into()
}
