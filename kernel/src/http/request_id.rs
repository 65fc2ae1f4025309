//! The name under which a request is found in the log: the client's own, if it is one, or a new one.

use http::HeaderMap;

use super::pipeline::X_REQUEST_ID;

const LONGEST: usize = 128;

pub(super) fn of(headers: &HeaderMap) -> String {
    let given = headers.get(&X_REQUEST_ID).and_then(|value| value.to_str().ok());
    match given.filter(|id| is_well_formed(id)) {
        Some(id) => id.to_owned(),
        None => crate::typeid::new("req"),
    }
}

/// Nothing that a log, a shell or a browser that shows it could take for something else.
fn is_well_formed(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=LONGEST).contains(&id.len()) && id.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_harmless_id_is_taken_over() {
        assert!(is_well_formed("trace-01.a_B"));
        for id in ["", "a b", "<script>", "a\"b", &"a".repeat(129)] {
            assert!(!is_well_formed(id), "{id}");
        }
    }
}
