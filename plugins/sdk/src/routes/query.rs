//! `limit=20&tag=a&tag=b` into a struct, with the name of the parameter in every error.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use crate::problem::Problem;

pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    let mut parameters: Vec<(Cow<'_, str>, Values<'_>)> = Vec::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        match parameters.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.values.push(value),
            None => parameters.push((
                name.clone(),
                Values {
                    name,
                    values: vec![value],
                },
            )),
        }
    }
    T::deserialize(MapDeserializer::new(parameters.into_iter())).map_err(|error: QueryError| {
        let detail = "A query parameter can't be used.";
        Problem::unprocessable("invalid_query", detail).field(format!("?{}", error.parameter), error.message)
    })
}

/// What was given for one name.
struct Values<'a> {
    name: Cow<'a, str>,
    values: Vec<Cow<'a, str>>,
}

impl<'a> Values<'a> {
    /// The value of a parameter that may be given once only.
    fn single(self) -> Result<Value<'a>, QueryError> {
        match <[_; 1]>::try_from(self.values) {
            Ok([text]) => Ok(Value { name: self.name, text }),
            Err(_) => Err(QueryError::at(&self.name, "may be given once only")),
        }
    }
}

/// One value; numbers and booleans are read from its text where the type asks for them.
struct Value<'a> {
    name: Cow<'a, str>,
    text: Cow<'a, str>,
}

#[derive(Debug)]
struct QueryError {
    parameter: String,
    message: String,
}

impl QueryError {
    fn at(parameter: &str, message: &str) -> Self {
        Self {
            parameter: parameter.to_owned(),
            message: message.to_owned(),
        }
    }

    /// Errors of the type itself do not know which parameter they are about.
    fn in_parameter(mut self, name: &str) -> Self {
        if self.parameter.is_empty() {
            self.parameter = name.to_owned();
        }
        self
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for QueryError {}

impl serde::de::Error for QueryError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            parameter: String::new(),
            message: message.to_string(),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::at(field, "is missing")
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Self::at(field, "is unknown")
    }
}

impl<'de> IntoDeserializer<'de, QueryError> for Values<'de> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> IntoDeserializer<'de, QueryError> for Value<'de> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! forward_to_single {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
            self.single()?.$method(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Values<'de> {
    type Error = QueryError;

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        let name = self.name;
        let items = self.values.into_iter().map(|text| Value {
            name: name.clone(),
            text,
        });
        visitor.visit_seq(SeqDeserializer::new(items))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, QueryError> {
        self.single()?.deserialize_enum(name, variants, visitor)
    }

    forward_to_single! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string
    }

    forward_to_deserialize_any! { i128 u128 bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any }
}

macro_rules! read_from_text {
    ($($method:ident => $visit:ident, $expected:literal;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
            match self.text.parse() {
                Ok(value) => visitor.$visit(value).map_err(|error: QueryError| error.in_parameter(&self.name)),
                Err(_) => Err(QueryError::at(&self.name, concat!("is not ", $expected))),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = QueryError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        let name = self.name;
        match self.text {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
        .map_err(|error: QueryError| error.in_parameter(&name))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, QueryError> {
        let variant = self.text.into_deserializer();
        visitor
            .visit_enum(variant)
            .map_err(|error: QueryError| error.in_parameter(&self.name))
    }

    read_from_text! {
        deserialize_bool => visit_bool, "true or false";
        deserialize_i8 => visit_i8, "a whole number in range";
        deserialize_i16 => visit_i16, "a whole number in range";
        deserialize_i32 => visit_i32, "a whole number in range";
        deserialize_i64 => visit_i64, "a whole number in range";
        deserialize_u8 => visit_u8, "a whole number in range";
        deserialize_u16 => visit_u16, "a whole number in range";
        deserialize_u32 => visit_u32, "a whole number in range";
        deserialize_u64 => visit_u64, "a whole number in range";
        deserialize_f32 => visit_f32, "a number";
        deserialize_f64 => visit_f64, "a number";
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Listing {
        limit: Option<u32>,
        in_stock: bool,
        sort: Option<Sort>,
        tag: Vec<String>,
        q: Option<String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    enum Sort {
        #[serde(rename = "-price")]
        PriceDown,
    }

    #[test]
    fn a_query_becomes_a_struct() {
        let listing: Listing = parse("limit=20&in_stock=true&sort=-price&tag=a&tag=b%20c&q=r%C3%A4der+rot").unwrap();
        assert_eq!(listing.limit, Some(20));
        assert!(listing.in_stock);
        assert_eq!(listing.sort, Some(Sort::PriceDown));
        assert_eq!(listing.tag, ["a", "b c"]);
        assert_eq!(listing.q.as_deref(), Some("räder rot"));
        assert_eq!(parse::<Listing>("").unwrap(), Listing::default());
    }

    #[test]
    fn every_error_names_its_parameter() {
        for (query, pointer) in [
            ("limit=-1", "?limit"),
            ("limit=1&limit=2", "?limit"),
            ("in_stock=yes", "?in_stock"),
            ("sort=x", "?sort"),
        ] {
            let problem = parse::<Listing>(query).unwrap_err();
            assert_eq!((problem.status, &*problem.code), (422, "invalid_query"));
            assert_eq!(
                problem.errors[0].pointer, pointer,
                "{query}: {}",
                problem.errors[0].message
            );
        }
    }
}
