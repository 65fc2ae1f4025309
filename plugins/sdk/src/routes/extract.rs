//! The parameters of a route's handler.

use std::str::FromStr;
use std::vec;

use commerce_contract as contract;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::{Json, query};
use crate::describe::Schemas;
use crate::problem::Problem;

/// The parts of a request that parameters are made of; each is taken at most once.
#[doc(hidden)]
pub struct Incoming {
    segments: vec::IntoIter<String>,
    query: String,
    body: Vec<u8>,
}

impl Incoming {
    pub(crate) fn new(segments: Vec<String>, query: String, body: Vec<u8>) -> Self {
        Self {
            segments: segments.into_iter(),
            query,
            body,
        }
    }
}

/// What can be a parameter of a route's handler.
#[doc(hidden)]
pub trait FromRequest: Sized {
    fn from_request(incoming: &mut Incoming) -> Result<Self, Problem>;
    /// Adds to the route what this parameter says about it.
    fn describe(route: &mut contract::Route, schemas: &mut Schemas);
}

/// The next `{…}` of the path. What can't be read as `T` names nothing here: 404.
#[derive(Clone, Debug)]
pub struct Path<T>(pub T);

impl<T: FromStr> FromRequest for Path<T> {
    fn from_request(incoming: &mut Incoming) -> Result<Self, Problem> {
        let segment = incoming.segments.next().unwrap_or_default();
        match segment.parse() {
            Ok(value) => Ok(Self(value)),
            Err(_) => Err(Problem::not_found("not_found", "There is nothing at this path.")),
        }
    }

    fn describe(_: &mut contract::Route, _: &mut Schemas) {}
}

/// The query string as a struct. A parameter given several times is a `Vec`. Handlers that share some parameters and not
/// all take two structs.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + JsonSchema> FromRequest for Query<T> {
    fn from_request(incoming: &mut Incoming) -> Result<Self, Problem> {
        query::parse(&incoming.query).map(Self)
    }

    fn describe(route: &mut contract::Route, schemas: &mut Schemas) {
        let schema = schemas.taken_inline::<T>();
        route.query = Some(match route.query.take() {
            Some(first) => together(first, schema),
            None => schema,
        });
    }
}

/// The parameters of two structs as those of one.
fn together(mut first: contract::JsonSchema, second: contract::JsonSchema) -> contract::JsonSchema {
    if let Some(more) = second["properties"].as_object() {
        for (name, property) in more {
            first["properties"][name] = property.clone();
        }
    }
    if let Some(more) = second["required"].as_array() {
        let mut required = first["required"].as_array().cloned().unwrap_or_default();
        required.extend(more.iter().cloned());
        first["required"] = required.into();
    }
    first
}

impl<T: DeserializeOwned + JsonSchema> FromRequest for Json<T> {
    fn from_request(incoming: &mut Incoming) -> Result<Self, Problem> {
        serde_json::from_slice(&incoming.body)
            .map(Self)
            .map_err(|error| match error.classify() {
                Category::Data => Problem::unprocessable("invalid_body", format!("The body can't be used: {error}.")),
                _ => Problem::bad_request("malformed_body", format!("The body is not JSON: {error}.")),
            })
    }

    fn describe(route: &mut contract::Route, schemas: &mut Schemas) {
        route.body = Some(schemas.taken::<T>());
    }
}

/// The body as it was sent, for example to verify a provider's signature over it.
#[derive(Clone, Debug)]
pub struct Body(pub Vec<u8>);

impl FromRequest for Body {
    fn from_request(incoming: &mut Incoming) -> Result<Self, Problem> {
        Ok(Self(std::mem::take(&mut incoming.body)))
    }

    fn describe(_: &mut contract::Route, _: &mut Schemas) {}
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    struct Paged {
        limit: Option<u32>,
    }

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    struct Named {
        name: String,
    }

    #[test]
    fn two_structs_share_one_query_string() {
        let mut schemas = Schemas::new();
        let schema = together(schemas.taken_inline::<Paged>(), schemas.taken_inline::<Named>());
        assert!(schema["properties"]["limit"].is_object() && schema["properties"]["name"].is_object());
        assert_eq!(schema["required"], serde_json::json!(["name"]));

        let mut incoming = Incoming::new(Vec::new(), "name=lamp&limit=3".to_owned(), Vec::new());
        let Query(paged) = Query::<Paged>::from_request(&mut incoming).unwrap();
        let Query(named) = Query::<Named>::from_request(&mut incoming).unwrap();
        assert_eq!((paged.limit, named.name.as_str()), (Some(3), "lamp"));
    }
}
