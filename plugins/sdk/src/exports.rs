//! From the component's exports to the plugin's handlers. Everything here runs on each call, so nothing is built that
//! the call does not need.

use std::marker::PhantomData;
use std::panic;

use commerce_contract::Descriptor;

use crate::bindings::commerce::kernel::types;
use crate::bindings::exports::commerce::kernel::{call, consume, describe, handle, run};
use crate::context::Context;
use crate::describe::Schemas;
use crate::events::Delivery;
use crate::jobs::Run;
use crate::log;
use crate::problem::Problem;
use crate::routes::{Incoming, Response};

/// What `plugin!` writes: the plugin as five dispatches, each a `match` on a name.
pub trait Plugin {
    fn describe(schemas: &mut Schemas) -> Descriptor;
    /// `operation` comes without the plugin's prefix.
    fn handle(operation: &str, cx: &Context, incoming: &mut Incoming) -> Result<Response, Problem>;
    fn call(function: &str, cx: &Context, payload: &[u8]) -> Result<Vec<u8>, Problem>;
    fn consume(delivery: Delivery) -> Result<(), Problem>;
    fn run(run: Run) -> Result<(), Problem>;
}

/// Gives any [`Plugin`] the exports of the world `plugin`.
pub struct Exports<P>(PhantomData<P>);

impl<P: Plugin> describe::Guest for Exports<P> {
    fn describe() -> String {
        log_panics();
        serde_json::to_string(&descriptor::<P>()).expect("a descriptor holds text keys only")
    }
}

/// What the plugin offers, complete with its named schemas.
pub fn descriptor<P: Plugin>() -> Descriptor {
    let mut schemas = Schemas::new();
    let mut descriptor = P::describe(&mut schemas);
    let (named, renames) = schemas.finish();
    let bodies = descriptor
        .routes
        .iter_mut()
        .flat_map(|route| route.body.iter_mut().chain(&mut route.query));
    let payloads = descriptor.functions.iter_mut().map(|function| &mut function.payload);
    for schema in bodies.chain(payloads).chain(&mut descriptor.settings) {
        renames.apply(schema);
    }
    descriptor.schemas = named;
    descriptor
}

impl<P: Plugin> handle::Guest for Exports<P> {
    fn handle(request: handle::Request) -> Result<handle::Response, types::Problem> {
        log_panics();
        let operation = request
            .operation
            .split_once('.')
            .map_or("", |(_plugin, operation)| operation);
        let cx = Context::new(request.caller, request.headers);
        let mut incoming = Incoming::new(request.path, request.query, request.body);
        Ok(P::handle(operation, &cx, &mut incoming)?.into())
    }
}

impl<P: Plugin> call::Guest for Exports<P> {
    fn call(caller: types::Caller, function: String, payload: Vec<u8>) -> Result<Vec<u8>, types::Problem> {
        log_panics();
        Ok(P::call(&function, &Context::new(caller, Vec::new()), &payload)?)
    }
}

impl<P: Plugin> consume::Guest for Exports<P> {
    fn consume(event: consume::Event) -> Result<(), types::Problem> {
        log_panics();
        Ok(P::consume(Delivery(event))?)
    }
}

impl<P: Plugin> run::Guest for Exports<P> {
    fn run(job: run::Job) -> Result<(), types::Problem> {
        log_panics();
        Ok(P::run(Run(job))?)
    }
}

/// A panic ends in a trap, which has no message of its own: tell the operator where and why before.
fn log_panics() {
    panic::set_hook(Box::new(|panic| log::write(log::Level::Error, &panic.to_string())));
}
