//! What a report says of rows.

use std::collections::BTreeSet;

use commerce_sdk::import::RowError;

#[derive(Debug, Default)]
pub struct Remarks {
    pub errors: Vec<RowError>,
    pub warnings: Vec<RowError>,
}

impl Remarks {
    pub fn wrong(&mut self, line: u64, message: impl Into<String>) {
        self.errors.push(remark(line, message));
    }

    pub fn warn(&mut self, line: u64, message: impl Into<String>) {
        self.warnings.push(remark(line, message));
    }

    /// Names each row of a product of which nothing was imported, once: the first has the reason, unless rows of it have
    /// their own.
    pub fn refuse(&mut self, lines: &[u64], why: impl Into<String>) {
        let named: BTreeSet<u64> = self.errors.iter().map(|error| error.line).collect();
        let mut rest = lines.iter().filter(|line| !named.contains(line));
        let reason = lines.iter().find(|line| named.contains(line)).copied();
        let reason = reason.or_else(|| {
            let first = *rest.next()?;
            self.wrong(first, why);
            Some(first)
        });
        for line in rest {
            let reason = reason.unwrap_or(*line);
            self.wrong(
                *line,
                format!("belongs to the product of line {reason}, which was not imported"),
            );
        }
        // Of what is not there, nothing was changed.
        self.warnings.retain(|warning| !lines.contains(&warning.line));
    }
}

fn remark(line: u64, message: impl Into<String>) -> RowError {
    RowError {
        line,
        message: message.into(),
    }
}
