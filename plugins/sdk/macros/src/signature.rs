//! What the attributes read off a function.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Expr, FnArg, ItemFn, Lit, Meta, ReturnType, Type};

/// A parameter: the call's context, by reference, or something that is made from what came in.
pub enum Parameter<'a> {
    Context,
    Made(&'a Type),
}

pub fn parameters(function: &ItemFn) -> syn::Result<Vec<Parameter<'_>>> {
    if let Some(asyncness) = function.sig.asyncness {
        return Err(syn::Error::new_spanned(
            asyncness,
            "handlers are not async: capabilities answer at once",
        ));
    }
    function.sig.inputs.iter().map(parameter).collect()
}

fn parameter(input: &FnArg) -> syn::Result<Parameter<'_>> {
    match input {
        FnArg::Typed(typed) if matches!(*typed.ty, Type::Reference(_)) => Ok(Parameter::Context),
        FnArg::Typed(typed) => Ok(Parameter::Made(&typed.ty)),
        FnArg::Receiver(receiver) => Err(syn::Error::new_spanned(
            receiver,
            "a handler is a function, not a method",
        )),
    }
}

/// The one parameter besides the context, where there is one.
pub fn payload<'a>(function: &'a ItemFn) -> syn::Result<Option<&'a Type>> {
    let mut found: Option<&'a Type> = None;
    for parameter in parameters(function)? {
        if let Parameter::Made(made) = parameter
            && found.replace(made).is_some()
        {
            return Err(syn::Error::new_spanned(
                made,
                "takes at most one parameter besides `&Context`",
            ));
        }
    }
    Ok(found)
}

pub fn returned(function: &ItemFn) -> TokenStream {
    match &function.sig.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, returned) => quote!(#returned),
    }
}

/// The first line of the doc comment, without its full stop.
pub fn summary(attributes: &[Attribute]) -> String {
    let line = attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    line.unwrap_or_default().trim().trim_end_matches('.').to_owned()
}

/// The type beside the function, with what its trait asks for.
pub fn beside(function: &ItemFn, implementation: TokenStream) -> TokenStream {
    let (visibility, name) = (&function.vis, &function.sig.ident);
    quote! {
        #function

        #[doc(hidden)]
        #[allow(non_camel_case_types)]
        #visibility struct #name {}

        #implementation
    }
}
