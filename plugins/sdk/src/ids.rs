//! TypeIDs (`prod_01h…`: sortable, self-describing) and random bytes.

use crate::bindings::commerce::kernel::ids as host;

/// A new TypeID with this prefix.
pub fn new(prefix: &str) -> String {
    host::typeid(prefix)
}

/// From the system's cryptographic generator.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&host::random(N as u32));
    bytes
}

/// Whether `text` is `prefix`, an underscore and 26 characters of lower-case Crockford base 32.
#[doc(hidden)]
pub fn is_typeid(text: &str, prefix: &str) -> bool {
    let Some(suffix) = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')) else {
        return false;
    };
    let in_alphabet =
        |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'h' | b'j' | b'k' | b'm' | b'n' | b'p'..=b't' | b'v'..=b'z');
    // 26 characters hold 130 bits; the first may use three of its five.
    suffix.len() == 26 && suffix.as_bytes()[0] <= b'7' && suffix.bytes().all(in_alphabet)
}

/// Defines an id type of one prefix, so that a variant's id is never taken for a product's.
///
/// ```ignore
/// id_type!(pub ProductId = "prod");
/// let id = ProductId::new();
/// ```
///
/// It is text in JSON, in SQL and in paths; another prefix or a malformed text is refused.
#[macro_export]
macro_rules! id_type {
    ($(#[$meta:meta])* $visibility:vis $name:ident = $prefix:literal) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $visibility struct $name(::std::string::String);

        #[allow(dead_code, clippy::new_without_default)]
        impl $name {
            $visibility fn new() -> Self {
                Self($crate::ids::new($prefix))
            }

            $visibility fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::convert::AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::ids::InvalidId;

            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                if $crate::ids::is_typeid(text, $prefix) {
                    ::std::result::Result::Ok(Self(text.to_owned()))
                } else {
                    ::std::result::Result::Err($crate::ids::InvalidId($prefix))
                }
            }
        }

        impl $crate::serde::Serialize for $name {
            fn serialize<S: $crate::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> $crate::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                let text = <::std::string::String as $crate::serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err($crate::serde::de::Error::custom)
            }
        }

        impl $crate::schemars::JsonSchema for $name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut $crate::schemars::SchemaGenerator) -> $crate::schemars::Schema {
                let pattern = concat!("^", $prefix, "_[0-7][0-9a-hjkmnp-tv-z]{25}$");
                $crate::schemars::json_schema!({ "type": "string", "pattern": pattern })
            }
        }
    };
}

/// The text is not a TypeID with this prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidId(pub &'static str);

impl std::fmt::Display for InvalidId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not an id that begins with {}_", self.0)
    }
}

impl std::error::Error for InvalidId {}

#[cfg(test)]
mod tests {
    use super::*;

    id_type!(ProductId = "prod");

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let text = "prod_01h455vb4pex5vsknk084sn02q";
        assert_eq!(text.parse::<ProductId>().unwrap().as_str(), text);
        for other in [
            "var_01h455vb4pex5vsknk084sn02q",
            "prod_",
            "prod_81h455vb4pex5vsknk084sn02q",
            "prod_01H455VB4PEX5VSKNK084SN02Q",
            "",
        ] {
            assert_eq!(other.parse::<ProductId>(), Err(InvalidId("prod")), "{other}");
        }
    }
}
