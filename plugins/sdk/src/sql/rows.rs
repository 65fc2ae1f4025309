//! Rows as they cross the border: a MessagePack array of the column names and of one array per row.

use std::marker::PhantomData;

use rmp_serde::decode::ReadRefReader;
use serde::de::value::Error as Probed;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::SqlError;

/// Decodes one row after the other.
pub struct Rows<'a, T> {
    source: rmp_serde::Deserializer<ReadRefReader<'a, [u8]>>,
    left: u32,
    rows: PhantomData<T>,
}

impl<'a, T: DeserializeOwned> Rows<'a, T> {
    pub fn read(mut answer: &'a [u8]) -> Result<Self, SqlError> {
        let length = rmp::decode::read_array_len(&mut answer).map_err(|error| SqlError::Rows(error.to_string()))?;
        let mut source = rmp_serde::Deserializer::from_read_ref(answer);
        let columns = Vec::<&str>::deserialize(&mut source).map_err(|error| SqlError::Rows(error.to_string()))?;
        agree::<T>(&columns)?;
        Ok(Self {
            source,
            left: length.saturating_sub(1),
            rows: PhantomData,
        })
    }
}

impl<T: DeserializeOwned> Iterator for Rows<'_, T> {
    type Item = Result<T, SqlError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(T::deserialize(&mut self.source).map_err(|error| SqlError::Rows(error.to_string())))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

/// Fields are filled by position: two columns of one type in the wrong order would pass unnoticed.
fn agree<T: DeserializeOwned>(columns: &[&str]) -> Result<(), SqlError> {
    let mut fields = None;
    let _ = T::deserialize(FieldNames(&mut fields));
    match fields {
        Some(fields) if fields != columns => Err(SqlError::Rows(format!(
            "the columns are {}, the fields {}",
            columns.join(", "),
            fields.join(", ")
        ))),
        _ => Ok(()),
    }
}

/// Learns the names of a struct's fields, and decodes nothing.
struct FieldNames<'a>(&'a mut Option<&'static [&'static str]>);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = Probed;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Probed> {
        *self.0 = Some(fields);
        Err(Probed::custom(""))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Probed> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Probed> {
        Err(Probed::custom(""))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::values::{Argument, JsonColumn, encode};
    use crate::timestamp::Timestamp;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Item {
        id: String,
        quantity: i64,
        note: Option<String>,
        options: JsonColumn<Vec<u8>>,
        made_at: Timestamp,
    }

    fn answer(columns: &[&str], rows: &[&[&dyn Argument]]) -> Vec<u8> {
        let mut out = Vec::new();
        rmp::encode::write_array_len(&mut out, 1 + rows.len() as u32).unwrap();
        columns.write(&mut out).unwrap();
        for row in rows {
            out.extend(encode(row).unwrap());
        }
        out
    }

    #[test]
    fn rows_become_structs() {
        let made_at = Timestamp::from_micros(1_700_000_000_000_001);
        let bytes = answer(
            &["id", "quantity", "note", "options", "made_at"],
            &[
                &[&"a", &1, &None::<&str>, &JsonColumn([1, 2]), &made_at],
                &[&"b", &-70_000, &Some("x"), &"[]", &made_at],
            ],
        );
        let items: Vec<Item> = Rows::read(&bytes).unwrap().collect::<Result<_, _>>().unwrap();
        let first = Item {
            id: "a".into(),
            quantity: 1,
            note: None,
            options: JsonColumn(vec![1, 2]),
            made_at,
        };
        let second = Item {
            id: "b".into(),
            quantity: -70_000,
            note: Some("x".into()),
            options: JsonColumn(vec![]),
            made_at,
        };
        assert_eq!(items, [first, second]);
    }

    #[test]
    fn columns_in_another_order_than_the_fields_are_refused() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "the test is about their order")]
        struct Money {
            net: i64,
            gross: i64,
        }
        let bytes = answer(&["gross", "net"], &[&[&1, &2]]);
        let Err(SqlError::Rows(message)) = Rows::<Money>::read(&bytes).map(|_| ()) else {
            panic!("accepted")
        };
        assert_eq!(message, "the columns are gross, net, the fields net, gross");
    }

    #[test]
    fn a_row_with_more_or_fewer_columns_than_the_tuple_is_refused() {
        for columns in [&["a"][..], &["a", "b", "c"]] {
            let row: Vec<&dyn Argument> = columns.iter().map(|_| &1 as &dyn Argument).collect();
            let bytes = answer(columns, &[&row]);
            let rows: Result<Vec<(i64, i64)>, _> = Rows::read(&bytes).unwrap().collect();
            assert!(matches!(rows, Err(SqlError::Rows(_))), "{columns:?} gave {rows:?}");
        }
    }
}
