//! The kernel's own statements: one text, written in PostgreSQL's dialect, for both engines.
//!
//! They are ours and few, so a translation of names and placeholders is enough; plugins' texts go through
//! [`border`](super::border) instead. What SQLite has no word for (`::`, `now()`, `interval` …) must not be used.

/// `kernel.accounts` → `"kernel.accounts"`, `$1` → `?1`, no row locks (there is one writer).
pub(super) fn statement(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    each_word(text, &mut out, |word, rest, out| {
        if word.eq_ignore_ascii_case("for")
            && let Some(length) = row_lock(rest)
        {
            return length;
        }
        out.push_str(word);
        0
    });
    out
}

/// As [`statement`], and the types of columns: `timestamptz` → `text` and so on.
pub(super) fn schema(text: &str) -> String {
    const IDENTITY: &str = " generated always as identity primary key";
    let mut out = String::with_capacity(text.len() + 16);
    each_word(text, &mut out, |word, rest, out| {
        let plain = match word {
            "bigint" if rest.starts_with(IDENTITY) => {
                out.push_str("integer primary key autoincrement");
                return IDENTITY.len();
            }
            "bigint" | "boolean" => "integer",
            "timestamptz" | "jsonb" => "text",
            "bytea" => "blob",
            other => other,
        };
        out.push_str(plain);
        0
    });
    out
}

/// Copies the text, handing each word outside of strings and comments to `word`, which writes what it becomes and says
/// how much of the rest to skip.
fn each_word(text: &str, out: &mut String, mut word: impl FnMut(&str, &str, &mut String) -> usize) {
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            let end = rest[1..].find('\'').map_or(rest.len(), |at| at + 2);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else if rest.starts_with("--") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if first == '$' {
            out.push('?');
            rest = &rest[1..];
        } else if let Some(table) = rest.strip_prefix("kernel.") {
            let end = word_end(table);
            out.push_str("\"kernel.");
            out.push_str(&table[..end]);
            out.push('"');
            rest = &table[end..];
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = word_end(rest);
            let (name, after) = rest.split_at(end);
            let skipped = word(name, after, out);
            rest = &after[skipped..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
}

fn word_end(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

/// The length of ` update skip locked` and the like, if that is what follows `for`.
fn row_lock(rest: &str) -> Option<usize> {
    [" update skip locked", " no key update", " update", " share"]
        .into_iter()
        .find(|lock| {
            rest.get(..lock.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(lock))
        })
        .map(str::len)
}

/// Repeats the one `values (…)` tuple of an INSERT for several rows, with placeholders counted on.
pub(super) fn repeat_values(text: &str, rows: usize, columns: usize) -> Option<String> {
    let open = text.find("values (")? + "values ".len();
    let close = closing_parenthesis(&text[open..])? + open;
    let tuple = &text[open..close];
    let mut out = String::with_capacity(text.len() + rows * tuple.len());
    out.push_str(&text[..open]);
    for row in 0..rows {
        if row > 0 {
            out.push_str(", ");
        }
        out.push_str(&counted_on(tuple, row * columns)?);
    }
    out.push_str(&text[close..]);
    Some(out)
}

/// Inserts and updates, each with how many arguments it takes, as one statement of PostgreSQL: it answers one row with how
/// many rows each of them changed. A statement does not see what another part of itself changes, so each must change
/// another table and read no other; None where that is not so. Deletions cascade, and are never joined.
pub(super) fn join<'a>(changes: impl Iterator<Item = (&'a str, usize)>) -> Option<String> {
    let (mut parts, mut counts, mut tables) = (Vec::new(), Vec::new(), Vec::new());
    let mut taken = 0;
    for (place, (text, arguments)) in changes.enumerate() {
        let table = only_table(text)?;
        if tables.contains(&table) {
            return None;
        }
        tables.push(table);
        parts.push(format!("c{place} as ({} returning 1)", counted_on(text, taken)?));
        counts.push(format!("(select count(*) from c{place})"));
        taken += arguments;
    }
    Some(format!("with {} select {}", parts.join(", "), counts.join(", ")))
}

/// The table that an insert or update without RETURNING changes, if it is the only one it names.
fn only_table(text: &str) -> Option<&str> {
    let changes = text.starts_with("insert into kernel.") || text.starts_with("update kernel.");
    if !changes || text.contains("returning") {
        return None;
    }
    let mut tables = text.split("kernel.").skip(1).map(|after| &after[..word_end(after)]);
    let first = tables.next()?;
    tables.all(|table| table == first).then_some(first)
}

/// The text with each `$1` counted on by so many.
fn counted_on(text: &str, by: usize) -> Option<String> {
    let mut pieces = text.split('$');
    let mut out = pieces.next()?.to_owned();
    for piece in pieces {
        let end = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
        let number: usize = piece[..end].parse().ok()?;
        out.push('$');
        out.push_str(&(number + by).to_string());
        out.push_str(&piece[end..]);
    }
    Some(out)
}

fn closing_parenthesis(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_placeholders_and_locks_become_sqlites() {
        assert_eq!(
            statement(
                "select kernel.jobs.id from kernel.jobs where name = $1 and key <> '$2 kernel.x' for update skip locked"
            ),
            "select \"kernel.jobs\".id from \"kernel.jobs\" where name = ?1 and key <> '$2 kernel.x' "
        );
    }

    #[test]
    fn column_types_keep_sqlite_from_turning_text_into_numbers() {
        assert_eq!(
            schema(
                "create table kernel.t (n bigint generated always as identity primary key, at timestamptz, body jsonb, raw bytea, on_ boolean)"
            ),
            "create table \"kernel.t\" (n integer primary key autoincrement, at text, body text, raw blob, on_ integer)"
        );
    }

    #[test]
    fn a_values_tuple_repeats_with_its_placeholders_counted_on() {
        assert_eq!(
            repeat_values(
                "insert into kernel.t (a, b) values ($1, coalesce($2, 0)) on conflict do nothing",
                2,
                2
            )
            .as_deref(),
            Some(
                "insert into kernel.t (a, b) values ($1, coalesce($2, 0)), ($3, coalesce($4, 0)) on conflict do nothing"
            )
        );
    }

    #[test]
    fn changes_of_different_tables_become_one_statement() {
        let insert = ("insert into kernel.a (x, y) values ($1, $2)", 2);
        let update = ("update kernel.b set x = $1 where kernel.b.y = 1", 1);
        assert_eq!(
            join([insert, update].into_iter()).as_deref(),
            Some(
                "with c0 as (insert into kernel.a (x, y) values ($1, $2) returning 1), \
                 c1 as (update kernel.b set x = $3 where kernel.b.y = 1 returning 1) \
                 select (select count(*) from c0), (select count(*) from c1)"
            )
        );
        for apart in [
            "update kernel.a set x = 1",
            "update kernel.b set x = (select x from kernel.a)",
            "update kernel.b set x = 1 returning x",
            "delete from kernel.b",
        ] {
            assert_eq!(join([insert, (apart, 0)].into_iter()), None, "{apart}");
        }
    }
}
