//! The file of an import: a header, and rows with the line on which each begins.
//!
//! Takes what spreadsheet programs make of a CSV file when they save it again: other separators, other line ends,
//! UTF-16. What can't be read of a row is that row's error; the rows behind it are read.

#[cfg(test)]
mod tests;

use std::path::Path;

use csv::{ByteRecord, StringRecord};

use crate::exit::{Exit, Failure};

#[derive(Debug)]
pub struct Table {
    text: Vec<u8>,
    separator: u8,
    pub header: Vec<String>,
}

#[derive(Debug, PartialEq)]
pub struct Row {
    /// In the file, from 1.
    pub line: u64,
    /// Or why they can't be read.
    pub fields: Result<Vec<String>, String>,
}

impl Table {
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let bytes = std::fs::read(path).map_err(|error| {
            Failure::new(Exit::NotFound, format!("can't read {}: {error}", path.display()))
                .remedy("check the file's name; it must be a CSV file with a header line")
        })?;
        Self::of(bytes).map_err(|why| {
            Failure::new(Exit::Failed, format!("{}: {why}", path.display()))
                .remedy("save the file as UTF-8 CSV with a header line and try again")
        })
    }

    fn of(bytes: Vec<u8>) -> Result<Self, String> {
        let text = decoded(bytes)?;
        let mut table = Self {
            separator: separator(&text),
            text,
            header: Vec::new(),
        };
        let header = table.rows().next().ok_or("the file is empty")?;
        table.header = header.fields.map_err(|why| format!("its header {why}"))?;
        Ok(table)
    }

    /// The rows behind the header.
    pub fn body(&self) -> impl Iterator<Item = Row> {
        self.rows().skip(1).map(|row| Row {
            line: row.line,
            fields: row.fields.and_then(|fields| self.fitting(fields)),
        })
    }

    /// A row that is shorter than the header has nothing in its last columns. One that is longer was taken apart wrongly.
    fn fitting(&self, fields: Vec<String>) -> Result<Vec<String>, String> {
        let (found, columns) = (fields.len(), self.header.len());
        if fields.iter().skip(columns).any(|field| !field.trim().is_empty()) {
            return Err(format!(
                "has {found} fields, and the header has {columns}: a field that holds a separator wants quotes"
            ));
        }
        Ok(fields)
    }

    fn rows(&self) -> Rows<'_> {
        let reader = csv::ReaderBuilder::new()
            .delimiter(self.separator)
            .has_headers(false)
            .flexible(true)
            .from_reader(self.text.as_slice());
        Rows {
            table: self,
            reader,
            lines: Lines::of(&self.text),
        }
    }
}

struct Rows<'a> {
    table: &'a Table,
    reader: csv::Reader<&'a [u8]>,
    lines: Lines<'a>,
}

impl Iterator for Rows<'_> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let text = &self.table.text;
        let behind = self.reader.position().byte() as usize;
        let mut record = ByteRecord::new();
        // These bytes are in memory: reading them does not fail.
        if !self.reader.read_byte_record(&mut record).unwrap_or(false) {
            return None;
        }
        // What ended the row before is still to come where that took two bytes, and so are blank lines.
        let blank = text[behind..].iter().take_while(|byte| is_line_end(**byte)).count();
        let (start, end) = (behind + blank, self.reader.position().byte() as usize);
        let swallowed_the_rest = end == text.len() && is_open(&text[start..]);
        Some(Row {
            line: self.lines.line_of(start),
            fields: if swallowed_the_rest {
                Err("opens a quote that is never closed: all that follows is part of it".to_owned())
            } else {
                readable(record, &self.table.header)
            },
        })
    }
}

/// Whether the bytes of a row that ends the file go over several lines because of a quote without its other half.
fn is_open(row: &[u8]) -> bool {
    let quotes = row.iter().filter(|byte| **byte == b'"').count();
    quotes % 2 == 1 && row.trim_ascii_end().iter().any(|byte| is_line_end(*byte))
}

fn readable(record: ByteRecord, header: &[String]) -> Result<Vec<String>, String> {
    let column = |at: usize| {
        header
            .get(at)
            .map_or_else(|| format!("column {}", at + 1), |name| format!("{name:?}"))
    };
    let record = StringRecord::from_byte_record(record)
        .map_err(|error| format!("is not UTF-8 in {}", column(error.utf8_error().field())))?;
    if let Some(at) = record.iter().position(|field| field.contains('\0')) {
        return Err(format!("has a NUL character in {}", column(at)));
    }
    Ok(record.iter().map(str::to_owned).collect())
}

/// Without the mark that says how the file is encoded, and UTF-8 whatever it was.
fn decoded(mut bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let unit: fn([u8; 2]) -> u16 = match bytes.as_slice() {
        [0xef, 0xbb, 0xbf, ..] => {
            bytes.drain(..3);
            return Ok(bytes);
        }
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return Ok(bytes),
    };
    let (pairs, _) = bytes[2..].as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    let text = String::from_utf16(&units).map_err(|_| "it begins as UTF-16 and is none")?;
    Ok(text.into_bytes())
}

/// What parts the fields of the header line; a comma where nothing does.
fn separator(text: &[u8]) -> u8 {
    let mut counts = [(b'\t', 0), (b';', 0), (b',', 0)];
    let mut quoted = false;
    for byte in text.trim_ascii_start() {
        quoted ^= *byte == b'"';
        if quoted {
            continue;
        }
        if is_line_end(*byte) {
            break;
        }
        if let Some((_, count)) = counts.iter_mut().find(|(separator, _)| separator == byte) {
            *count += 1;
        }
    }
    // Of equals the last is the largest.
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map_or(b',', |(separator, _)| separator)
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Counts lines up to places that only grow.
struct Lines<'a> {
    text: &'a [u8],
    /// What the last byte of a line is. Files of old Macs have nothing but returns.
    end: u8,
    counted: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn of(text: &'a [u8]) -> Self {
        Self {
            text,
            end: if text.contains(&b'\n') { b'\n' } else { b'\r' },
            counted: 0,
            line: 1,
        }
    }

    fn line_of(&mut self, place: usize) -> u64 {
        let passed = &self.text[self.counted..place];
        self.line += passed.iter().filter(|byte| **byte == self.end).count() as u64;
        self.counted = place;
        self.line
    }
}
