//! `plugin! { routes: […], functions: […], … }`

use std::path::Path;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, LitStr, Token, Type, braced, bracketed};

type Handler = syn::Path;

#[derive(Default)]
pub struct Parts {
    routes: Vec<Handler>,
    functions: Vec<Handler>,
    /// Service to the functions that answer it.
    provides: Vec<(LitStr, Vec<Handler>)>,
    consumers: Vec<Handler>,
    jobs: Vec<Handler>,
    schedules: Vec<Handler>,
    /// Event to the type of its payload.
    publishes: Vec<(LitStr, Type)>,
    /// Resource and format to the function that imports it.
    imports: Vec<(LitStr, Vec<(LitStr, Handler)>)>,
    seed: Vec<(LitStr, Handler)>,
    permissions: Vec<(LitStr, LitStr)>,
    settings: Option<Type>,
}

impl Parse for Parts {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut parts = Self::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            input.parse::<Token![:]>()?;
            match key.to_string().as_str() {
                "routes" => parts.routes = list(input)?,
                "functions" => parts.functions = list(input)?,
                "provides" => parts.provides = map(input, list)?,
                "consumers" => parts.consumers = list(input)?,
                "jobs" => parts.jobs = list(input)?,
                "schedules" => parts.schedules = list(input)?,
                "publishes" => parts.publishes = map(input, <Type as Parse>::parse)?,
                "imports" => parts.imports = map(input, |formats| map(formats, <Handler as Parse>::parse))?,
                "seed" => parts.seed = map(input, <Handler as Parse>::parse)?,
                "permissions" => parts.permissions = map(input, <LitStr as Parse>::parse)?,
                "settings" => parts.settings = Some(input.parse()?),
                _ => {
                    let known = "routes, functions, provides, consumers, jobs, schedules, publishes, imports, seed, permissions, settings";
                    return Err(syn::Error::new_spanned(key, format!("a plugin has {known}")));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        if let Some((resource, _)) = parts.seed.get(1) {
            return Err(syn::Error::new_spanned(resource, "a plugin seeds one resource"));
        }
        Ok(parts)
    }
}

/// `[list, show, admin::create]`
fn list(input: ParseStream<'_>) -> syn::Result<Vec<Handler>> {
    let items;
    bracketed!(items in input);
    Ok(Punctuated::<Handler, Token![,]>::parse_terminated(&items)?
        .into_iter()
        .collect())
}

/// `{ "name": value, … }`
fn map<V>(input: ParseStream<'_>, value: impl Fn(ParseStream<'_>) -> syn::Result<V>) -> syn::Result<Vec<(LitStr, V)>> {
    let entries;
    braced!(entries in input);
    let mut map = Vec::new();
    while !entries.is_empty() {
        let key = entries.parse()?;
        entries.parse::<Token![:]>()?;
        map.push((key, value(&entries)?));
        if !entries.is_empty() {
            entries.parse::<Token![,]>()?;
        }
    }
    Ok(map)
}

pub fn expand(parts: Parts) -> syn::Result<TokenStream> {
    let functions = parts.all_functions();
    let describe = parts.describe(&functions, &format!("{}.", plugin_name()?));
    let Parts {
        routes,
        consumers,
        jobs,
        schedules,
        ..
    } = &parts;
    let runs = jobs.iter().chain(schedules);
    let runs = runs.map(|job| quote!(<#job as JobHandler>::NAME => <#job as JobHandler>::run(run)));

    Ok(quote! {
        #[doc(hidden)]
        pub struct ThePlugin;

        const _: () = {
            use ::commerce_sdk::Context;
            use ::commerce_sdk::__private::{
                Consumer, Delivery, Function, FunctionAnswer, Incoming, JobHandler, Plugin, Route, Run, ScheduleHandler, Schemas, contract,
            };
            use ::commerce_sdk::problem::Problem;
            use ::commerce_sdk::routes::Response;

            #[allow(unused_variables)]
            impl Plugin for ThePlugin {
                #describe

                fn handle(operation: &str, cx: &Context, incoming: &mut Incoming) -> ::std::result::Result<Response, Problem> {
                    match operation {
                        #(<#routes as Route>::OPERATION => <#routes as Route>::handle(cx, incoming),)*
                        _ => Err(Problem::internal(format_args!("no route {operation}"))),
                    }
                }

                fn call(function: &str, cx: &Context, payload: &[u8]) -> ::std::result::Result<::std::vec::Vec<u8>, Problem> {
                    match function {
                        #(<#functions as Function>::NAME => <#functions as Function>::call(cx, payload),)*
                        _ => Err(Problem::internal(format_args!("no function {function}"))),
                    }
                }

                fn consume(delivery: Delivery) -> ::std::result::Result<(), Problem> {
                    match &*delivery.event() {
                        #(<#consumers as Consumer>::EVENT => <#consumers as Consumer>::consume(delivery),)*
                        event => Err(Problem::internal(format_args!("no consumer of {event}"))),
                    }
                }

                fn run(run: Run) -> ::std::result::Result<(), Problem> {
                    match run.name() {
                        #(#runs,)*
                        job => Err(Problem::internal(format_args!("no job {job}"))),
                    }
                }
            }

            #[cfg(target_arch = "wasm32")]
            type Exported = ::commerce_sdk::__private::Exports<ThePlugin>;
            #[cfg(target_arch = "wasm32")]
            ::commerce_sdk::__private::bindings::export_plugin!(Exported with_types_in ::commerce_sdk::__private::bindings);
        };
    })
}

impl Parts {
    /// Those listed, and those that provide, import or seed, each once.
    fn all_functions(&self) -> Vec<&Handler> {
        let provided = self.provides.iter().flat_map(|(_, functions)| functions);
        let imports = self
            .imports
            .iter()
            .flat_map(|(_, formats)| formats.iter().map(|(_, function)| function));
        let seed = self.seed.iter().map(|(_, function)| function);
        let mut all: Vec<&Handler> = Vec::new();
        for function in self.functions.iter().chain(provided).chain(imports).chain(seed) {
            let text = |path: &Handler| path.to_token_stream().to_string();
            if !all.iter().any(|known| text(known) == text(function)) {
                all.push(function);
            }
        }
        all
    }

    fn describe(&self, functions: &[&Handler], prefix: &str) -> TokenStream {
        let Self { routes, jobs, .. } = self;
        let provides = self.provides.iter().map(
            |(service, functions)| quote!((#service.to_owned(), vec![#(<#functions as Function>::NAME.to_owned()),*])),
        );
        let publishes = self.publishes.iter().map(|(name, payload)| {
            quote!(contract::EventKind {
                name: #name.to_owned(),
                summary: ::std::string::String::new(),
                payload: <::std::result::Result<#payload, Problem> as FunctionAnswer>::schema(schemas),
            })
        });
        let schedules = self.schedules.iter().map(|schedule| {
            quote!(contract::Schedule {
                name: <#schedule as JobHandler>::NAME.to_owned(),
                cron: <#schedule as ScheduleHandler>::CRON.to_owned(),
            })
        });
        let imports = self.imports.iter().flat_map(|(resource, formats)| {
            formats.iter().map(move |(format, function)| {
                quote!(contract::Import {
                    resource: #resource.to_owned(),
                    format: #format.to_owned(),
                    function: <#function as Function>::NAME.to_owned(),
                })
            })
        });
        let seed = self
            .seed
            .first()
            .map_or(quote!(::std::option::Option::None), |(resource, function)| {
                quote!(::std::option::Option::Some(contract::Seed {
                    resource: #resource.to_owned(),
                    function: <#function as Function>::NAME.to_owned(),
                }))
            });
        let permissions = self.permissions.iter().map(|(name, description)| {
            quote!(contract::Permission { name: #name.to_owned(), description: #description.to_owned() })
        });
        let settings = self.settings.as_ref().map_or(
            quote!(::std::option::Option::None),
            |settings| quote!(::std::option::Option::Some(schemas.taken_inline::<#settings>())),
        );
        quote! {
            fn describe(schemas: &mut Schemas) -> contract::Descriptor {
                let mut routes: ::std::vec::Vec<contract::Route> = vec![#(<#routes as Route>::describe(schemas)),*];
                for route in &mut routes {
                    route.operation.insert_str(0, #prefix);
                }
                contract::Descriptor {
                    routes,
                    functions: vec![#(<#functions as Function>::describe(schemas)),*],
                    provides: [#(#provides),*].into(),
                    publishes: vec![#(#publishes),*],
                    jobs: vec![#(contract::JobKind { name: <#jobs as JobHandler>::NAME.to_owned() }),*],
                    schedules: vec![#(#schedules),*],
                    imports: vec![#(#imports),*],
                    seed: #seed,
                    permissions: vec![#(#permissions),*],
                    settings: #settings,
                    schemas: ::std::default::Default::default(),
                }
            }
        }
    }
}

/// As `plugin.toml` has it: operation ids begin with it.
fn plugin_name() -> syn::Result<String> {
    let error = |message: String| syn::Error::new(Span::call_site(), message);
    let folder = std::env::var("CARGO_MANIFEST_DIR").map_err(|_| error("cargo must build a plugin".to_owned()))?;
    let path = Path::new(&folder).join("plugin.toml");
    let text = std::fs::read_to_string(&path).map_err(|cause| error(format!("{}: {cause}", path.display())))?;
    let manifest: toml::Table = text
        .parse()
        .map_err(|cause| error(format!("{}: {cause}", path.display())))?;
    let name = manifest
        .get("plugin")
        .and_then(|plugin| plugin.get("name"))
        .and_then(toml::Value::as_str);
    name.map(str::to_owned)
        .ok_or_else(|| error(format!("{}: [plugin] has no name", path.display())))
}
