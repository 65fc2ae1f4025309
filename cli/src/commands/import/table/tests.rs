use super::*;

fn table(bytes: impl AsRef<[u8]>) -> Table {
    Table::of(bytes.as_ref().to_vec()).expect("it has a header")
}

/// Of each row its line and its fields, or that it has none.
fn rows(bytes: impl AsRef<[u8]>) -> Vec<(u64, Option<String>)> {
    let table = table(bytes);
    let rows = table.body();
    rows.map(|row| (row.line, row.fields.ok().map(|fields| fields.join("|"))))
        .collect()
}

fn errors(bytes: impl AsRef<[u8]>) -> Vec<(u64, String)> {
    let table = table(bytes);
    let rows = table.body();
    rows.filter_map(|row| Some((row.line, row.fields.err()?))).collect()
}

fn some(line: u64, fields: &str) -> (u64, Option<String>) {
    (line, Some(fields.to_owned()))
}

#[test]
fn a_row_begins_on_the_line_an_editor_shows_whatever_ends_the_lines() {
    let text = "name,text\na,one\n\n\nb,\"two\nlines\"\nc,three\n";
    let expected = |lines: &str| [some(2, "a|one"), some(5, &format!("b|{lines}")), some(7, "c|three")];
    assert_eq!(rows(text), expected("two\nlines"));
    assert_eq!(rows(text.replace('\n', "\r\n")), expected("two\r\nlines"));
    assert_eq!(rows(text.replace('\n', "\r")), expected("two\rlines"));
    assert_eq!(rows(text.trim_end()), expected("two\nlines"), "without a last line end");
    assert_eq!(
        rows(format!("\u{feff}{text}")),
        expected("two\nlines"),
        "with a byte order mark"
    );
    let mixed = "name,text\r\na,\"x\ny\"\r\nb,z\r\n";
    assert_eq!(rows(mixed), [some(2, "a|x\ny"), some(4, "b|z")]);
}

#[test]
fn the_header_says_what_separates_fields() {
    for separator in [",", ";", "\t"] {
        let text =
            ["name", "\"a,b;c\td,;\t\"", "text"].join(separator) + "\n" + &["x", "y", "z"].join(separator) + "\n";
        let table = table(&text);
        assert_eq!(table.header, ["name", "a,b;c\td,;\t", "text"], "{separator:?}");
        assert_eq!(rows(&text), [some(2, "x|y|z")]);
    }
    assert_eq!(rows("name\na;b\n"), [some(2, "a;b")], "one column");
}

#[test]
fn a_byte_that_is_no_utf_8_costs_its_row_and_no_other() {
    let text = b"name,text\na,one\nb,Caf\xe9\nc,three\n";
    assert_eq!(rows(text), [some(2, "a|one"), (3, None), some(4, "c|three")]);
    assert_eq!(errors(text), [(3, "is not UTF-8 in \"text\"".to_owned())]);
    assert_eq!(
        errors("name,text\na\0b,one\n"),
        [(2, "has a NUL character in \"name\"".to_owned())]
    );
}

#[test]
fn what_a_spreadsheet_saves_as_unicode_text_is_read() {
    let text = "name\ttext\r\nkopi\tgayo é 😀\r\n";
    let units = || text.encode_utf16();
    let little: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(units().flat_map(u16::to_le_bytes))
        .collect();
    let big: Vec<u8> = [0xfe, 0xff]
        .into_iter()
        .chain(units().flat_map(u16::to_be_bytes))
        .collect();
    assert_eq!(rows(little), [some(2, "kopi|gayo é 😀")]);
    assert_eq!(rows(big), [some(2, "kopi|gayo é 😀")]);
}

#[test]
fn a_row_with_more_fields_than_the_header_is_not_guessed_at() {
    let text = "name,text\na,one,two\nb\nc,three,,\n";
    assert_eq!(rows(text), [(2, None), some(3, "b"), some(4, "c|three||")]);
    let (_, message) = &errors(text)[0];
    assert!(message.starts_with("has 3 fields, and the header has 2"), "{message}");
}

#[test]
fn a_quote_that_is_never_closed_is_named_where_it_is_opened() {
    let text = "name,text\na,one\n\"b,two\nc,three\nd,four\n";
    assert_eq!(rows(text), [some(2, "a|one"), (3, None)]);
    assert_eq!(
        rows("name,text\na,5\" pipe\n"),
        [some(2, "a|5\" pipe")],
        "an inch is no quote"
    );
}

#[test]
fn a_file_without_a_header_is_refused() {
    assert!(Table::of(Vec::new()).is_err());
    assert!(Table::of(b"\r\n\r\n".to_vec()).is_err());
    assert!(Table::of((0..=255).collect()).is_err());
}
