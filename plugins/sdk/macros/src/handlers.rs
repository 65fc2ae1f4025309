//! `#[function]`, `#[consumer]`, `#[job]`, `#[schedule]`

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{Ident, ItemFn, LitStr, Token};

use crate::signature::{Parameter, beside, parameters, payload, returned, summary};

/// `reads, name = "…"`
#[derive(Default)]
pub struct FunctionOptions {
    reads: bool,
    name: Option<LitStr>,
}

impl Parse for FunctionOptions {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            match key.to_string().as_str() {
                "reads" => options.reads = true,
                "name" => {
                    input.parse::<Token![=]>()?;
                    options.name = Some(input.parse()?);
                }
                _ => {
                    return Err(syn::Error::new_spanned(
                        key,
                        "a function has the options reads and name",
                    ));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

pub fn function(options: FunctionOptions, function: ItemFn) -> syn::Result<TokenStream> {
    let name = &function.sig.ident;
    let taken = payload(&function)?;
    let arguments = parameters(&function)?.into_iter().map(|parameter| match parameter {
        Parameter::Context => quote!(cx),
        Parameter::Made(made) => {
            quote!(<#made as ::commerce_sdk::__private::FunctionPayload>::decode(payload)?)
        }
    });
    let taken = taken.map_or(quote!(()), |taken| quote!(#taken));
    let answer = returned(&function);
    let called = options.name.as_ref().map_or_else(|| name.to_string(), LitStr::value);
    let (reads, summary) = (options.reads, summary(&function.attrs));

    let implementation = quote! {
        impl ::commerce_sdk::__private::Function for #name {
            const NAME: &'static str = #called;

            fn describe(schemas: &mut ::commerce_sdk::__private::Schemas) -> ::commerce_sdk::__private::contract::Function {
                ::commerce_sdk::__private::contract::Function {
                    name: ::std::string::String::from(#called),
                    summary: ::std::string::String::from(#summary),
                    payload: <#taken as ::commerce_sdk::__private::FunctionPayload>::schema(schemas),
                    answer: <#answer as ::commerce_sdk::__private::FunctionAnswer>::schema(schemas),
                    reads: #reads,
                }
            }

            #[allow(unused_variables)]
            fn call(
                cx: &::commerce_sdk::Context,
                payload: &[u8],
            ) -> ::std::result::Result<::std::vec::Vec<u8>, ::commerce_sdk::problem::Problem> {
                ::commerce_sdk::__private::FunctionAnswer::encode(#name(#(#arguments),*))
            }
        }
    };
    Ok(beside(&function, implementation))
}

pub fn consumer(event: LitStr, function: ItemFn) -> syn::Result<TokenStream> {
    if event.value().split('.').count() != 2 {
        return Err(syn::Error::new_spanned(
            event,
            "name the publisher and its event: `transaction.completed`",
        ));
    }
    let name = &function.sig.ident;
    let argument = payload(&function)?.map(|_| quote!(delivery.decode()?));
    let implementation = quote! {
        impl ::commerce_sdk::__private::Consumer for #name {
            const EVENT: &'static str = #event;

            #[allow(unused_variables)]
            fn consume(
                delivery: ::commerce_sdk::__private::Delivery,
            ) -> ::std::result::Result<(), ::commerce_sdk::problem::Problem> {
                #name(#argument)
            }
        }
    };
    Ok(beside(&function, implementation))
}

pub fn job(job: LitStr, function: ItemFn) -> syn::Result<TokenStream> {
    let implementation = runs(&job, &function)?;
    Ok(beside(&function, implementation))
}

/// `"sweep", cron = "*/5 * * * *"`
pub struct ScheduleOptions {
    name: LitStr,
    cron: LitStr,
}

impl Parse for ScheduleOptions {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = input.parse()?;
        input.parse::<Token![,]>()?;
        let key: Ident = input.parse()?;
        if key != "cron" {
            return Err(syn::Error::new_spanned(key, "a schedule has a `cron = \"…\"` line"));
        }
        input.parse::<Token![=]>()?;
        let cron: LitStr = input.parse()?;
        input.parse::<Option<Token![,]>>()?;
        if cron.value().split_whitespace().count() != 5 {
            return Err(syn::Error::new_spanned(
                cron,
                "five fields, UTC: minute hour day month weekday",
            ));
        }
        Ok(Self { name, cron })
    }
}

pub fn schedule(options: ScheduleOptions, function: ItemFn) -> syn::Result<TokenStream> {
    let (name, cron) = (&function.sig.ident, &options.cron);
    let runs = runs(&options.name, &function)?;
    let implementation = quote! {
        #runs

        impl ::commerce_sdk::__private::ScheduleHandler for #name {
            const CRON: &'static str = #cron;
        }
    };
    Ok(beside(&function, implementation))
}

fn runs(job: &LitStr, function: &ItemFn) -> syn::Result<TokenStream> {
    let name = &function.sig.ident;
    let argument = payload(function)?.map(|_| quote!(run.decode()?));
    Ok(quote! {
        impl ::commerce_sdk::__private::JobHandler for #name {
            const NAME: &'static str = #job;

            #[allow(unused_variables)]
            fn run(run: ::commerce_sdk::__private::Run) -> ::std::result::Result<(), ::commerce_sdk::problem::Problem> {
                #name(#argument)
            }
        }
    })
}
