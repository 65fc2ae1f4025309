//! Values on their way to the database and back.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};

use super::SqlError;

/// Whatever serialises to one value: texts, integers, booleans, `Option`, [`crate::timestamp::Timestamp`], ids, plain
/// enums, [`JsonColumn`], [`Blob`].
pub trait Argument {
    #[doc(hidden)]
    fn write(&self, out: &mut Vec<u8>) -> Result<(), SqlError>;
}

impl<T: Serialize + ?Sized> Argument for T {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), SqlError> {
        rmp_serde::encode::write(out, self).map_err(|error| SqlError::Arguments(error.to_string()))
    }
}

pub(super) fn encode(arguments: &[&dyn Argument]) -> Result<Vec<u8>, SqlError> {
    let mut out = Vec::with_capacity(16 * (arguments.len() + 1));
    // Writing to a `Vec` can't fail, and no statement has 2^32 arguments.
    let _ = rmp::encode::write_array_len(&mut out, arguments.len() as u32);
    for argument in arguments {
        argument.write(&mut out)?;
    }
    Ok(out)
}

/// A value kept as JSON text in one column; in JSON it is the value itself, so one struct can be row and answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonColumn<T>(pub T);

impl<T: Serialize> Serialize for JsonColumn<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return self.0.serialize(serializer);
        }
        let text = serde_json::to_string(&self.0).map_err(ser::Error::custom)?;
        serializer.serialize_str(&text)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for JsonColumn<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return T::deserialize(deserializer).map(Self);
        }
        let text = <&str>::deserialize(deserializer)?;
        serde_json::from_str(text).map(Self).map_err(D::Error::custom)
    }
}

impl<T: JsonSchema> JsonSchema for JsonColumn<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Bytes kept in one column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(BlobVisitor)
    }
}

struct BlobVisitor;

impl Visitor<'_> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
        Ok(Blob(bytes.to_vec()))
    }
}
