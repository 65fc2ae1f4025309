//! TypeIDs: `evt_01jb3k…`, a prefix that says what it names and a UUIDv7 in 26 characters that sort by time.

use uuid::Uuid;

/// Crockford's alphabet in lower case: no i, l, o and u, so that an id survives being read aloud.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A new id. Ids made one after the other by one process sort in that order.
pub fn new(prefix: &str) -> String {
    encode(prefix, Uuid::now_v7())
}

fn encode(prefix: &str, id: Uuid) -> String {
    let bits = id.as_u128();
    let mut text = String::with_capacity(prefix.len() + 27);
    text.push_str(prefix);
    text.push('_');
    // 26 characters of 5 bits are 130: the first stands for the topmost 3 bits alone.
    text.extend(
        (0..26)
            .rev()
            .map(|place| char::from(ALPHABET[(bits >> (place * 5)) as usize & 31])),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_prefix_and_26_characters_that_stand_for_the_uuid() {
        let id = Uuid::parse_str("01890a5d-ac96-774b-bcce-b302099a8057").expect("a uuid");
        assert_eq!(encode("prefix", id), "prefix_01h455vb4pex5vsknk084sn02q");
        assert_eq!(encode("max", Uuid::max()), "max_7zzzzzzzzzzzzzzzzzzzzzzzzz");
    }

    #[test]
    fn ids_of_one_process_sort_in_the_order_they_were_made() {
        let made: Vec<String> = (0..10_000).map(|_| new("evt")).collect();
        assert!(made.is_sorted());
    }
}
