//! `#[get("/api/products/{id}", access = public, …)]`

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, ItemFn, LitInt, LitStr, Token, parenthesized};

use crate::signature::{Parameter, beside, parameters, returned, summary};

pub struct Options {
    path: LitStr,
    access: Access,
    operation: Option<LitStr>,
    summary: Option<LitStr>,
    cacheable: bool,
    staged: bool,
    headers: Vec<LitStr>,
    body_kib: Option<LitInt>,
    problems: Vec<(LitInt, LitStr)>,
}

enum Access {
    Public,
    Customer,
    Staff(LitStr),
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let path: LitStr = input.parse()?;
        if !path.value().starts_with('/') {
            return Err(syn::Error::new_spanned(path, "a path begins with `/`"));
        }
        let mut access = None;
        let mut options = Self {
            path,
            access: Access::Public,
            operation: None,
            summary: None,
            cacheable: false,
            staged: false,
            headers: Vec::new(),
            body_kib: None,
            problems: Vec::new(),
        };
        while input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            let key: Ident = input.parse()?;
            match key.to_string().as_str() {
                "access" => access = Some(value::<Access>(input)?),
                "operation" => options.operation = Some(value(input)?),
                "summary" => options.summary = Some(value(input)?),
                "cacheable" => options.cacheable = true,
                "staged" => options.staged = true,
                "headers" => options.headers = list(input, <LitStr as Parse>::parse)?,
                "body_kib" => options.body_kib = Some(value(input)?),
                "problems" => options.problems = list(input, problem)?,
                _ => {
                    let known = "access, operation, summary, cacheable, staged, headers, body_kib, problems";
                    return Err(syn::Error::new_spanned(key, format!("a route has the options {known}")));
                }
            }
        }
        let missing =
            "who may call it? write `access = public`, `access = customer` or `access = staff(\"permission\")`";
        options.access = access.ok_or_else(|| input.error(missing))?;
        Ok(options)
    }
}

impl Parse for Access {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let kind: Ident = input.parse()?;
        match kind.to_string().as_str() {
            "public" => Ok(Self::Public),
            "customer" => Ok(Self::Customer),
            "staff" => {
                let permission;
                parenthesized!(permission in input);
                Ok(Self::Staff(permission.parse()?))
            }
            _ => Err(syn::Error::new_spanned(
                kind,
                "access is public, customer or staff(\"permission\")",
            )),
        }
    }
}

fn value<T: Parse>(input: ParseStream<'_>) -> syn::Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

fn list<T>(input: ParseStream<'_>, item: fn(ParseStream<'_>) -> syn::Result<T>) -> syn::Result<Vec<T>> {
    let items;
    parenthesized!(items in input);
    let items = Punctuated::<T, Token![,]>::parse_terminated_with(&items, item)?;
    Ok(items.into_iter().collect())
}

/// `404 = "unknown_product"`
fn problem(input: ParseStream<'_>) -> syn::Result<(LitInt, LitStr)> {
    let status = input.parse()?;
    Ok((status, value(input)?))
}

pub fn expand(method: &str, options: Options, function: ItemFn) -> syn::Result<TokenStream> {
    let name = &function.sig.ident;
    let parameters = parameters(&function)?;
    let arguments = parameters.iter().map(|parameter| match parameter {
        Parameter::Context => quote!(cx),
        Parameter::Made(made) => {
            quote!(<#made as ::commerce_sdk::__private::FromRequest>::from_request(incoming)?)
        }
    });
    let described = parameters.iter().filter_map(|parameter| match parameter {
        Parameter::Context => None,
        Parameter::Made(made) => {
            Some(quote!(<#made as ::commerce_sdk::__private::FromRequest>::describe(&mut route, schemas);))
        }
    });
    let answer = returned(&function);

    let Options {
        path,
        cacheable,
        staged,
        headers,
        ..
    } = &options;
    let operation = options
        .operation
        .as_ref()
        .map_or_else(|| name.to_string(), LitStr::value);
    let summary = options
        .summary
        .as_ref()
        .map_or_else(|| summary(&function.attrs), LitStr::value);
    let access = match &options.access {
        Access::Public => quote!(Public),
        Access::Customer => quote!(Customer),
        Access::Staff(permission) => quote!(Staff(::std::string::String::from(#permission))),
    };
    let body_kib = options.body_kib.as_ref().map_or(quote!(None), |kib| quote!(Some(#kib)));
    let problems = options.problems.iter().map(|(status, code)| quote!((#status, #code)));

    let implementation = quote! {
        impl ::commerce_sdk::__private::Route for #name {
            const OPERATION: &'static str = #operation;

            fn describe(schemas: &mut ::commerce_sdk::__private::Schemas) -> ::commerce_sdk::__private::contract::Route {
                let mut route = ::commerce_sdk::__private::RouteFacts {
                    operation: #operation,
                    method: #method,
                    path: #path,
                    summary: #summary,
                    access: ::commerce_sdk::__private::contract::Access::#access,
                    cacheable: #cacheable,
                    staged: #staged,
                    headers: &[#(#headers),*],
                    body_kib: ::std::option::Option::#body_kib,
                    problems: &[#(#problems),*],
                }
                .into_route();
                #(#described)*
                <#answer as ::commerce_sdk::routes::Answer>::describe(&mut route, schemas);
                route
            }

            #[allow(unused_variables)]
            fn handle(
                cx: &::commerce_sdk::Context,
                incoming: &mut ::commerce_sdk::__private::Incoming,
            ) -> ::std::result::Result<::commerce_sdk::routes::Response, ::commerce_sdk::problem::Problem> {
                ::commerce_sdk::routes::Answer::respond(#name(#(#arguments),*))
            }
        }
    };
    Ok(beside(&function, implementation))
}
