//! Cron lines as everybody writes them: five fields in UTC, `minute hour day-of-month month day-of-week`, where Sunday
//! is 0 or 7, and a line that restricts both kinds of days means either.
//!
//! The `cron` crate knows when a time matches; it numbers the days of the week from Sunday = 1 and wants both kinds
//! of days to match, so those two are put right here.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use cron::Schedule;

use crate::storage::sql::Time;

/// A line that has been understood.
#[derive(Clone, Debug)]
pub struct CronLine {
    /// Two where days of the month and of the week are both restricted: the earlier time of either counts.
    alternatives: Vec<Schedule>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    #[error(
        "`{0}` is not a cron line: write five fields, `minute hour day-of-month month day-of-week`, for example `*/5 * * * *`"
    )]
    Fields(String),
    #[error(
        "`{field}` in the cron line `{line}` can't be read: write numbers, names such as `mon`, ranges `1-5`, lists `1,3` or steps `*/5`"
    )]
    Field { line: String, field: String },
    #[error("the cron line `{0}` never comes due")]
    Never(String),
}

impl FromStr for CronLine {
    type Err = CronError;

    fn from_str(line: &str) -> Result<Self, CronError> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(CronError::Fields(line.to_owned()));
        };
        let weekdays = weekdays(weekday).ok_or_else(|| CronError::Field {
            line: line.to_owned(),
            field: weekday.to_owned(),
        })?;
        let days = match (day, weekday) {
            ("*", _) | (_, "*") => vec![(day, weekdays.as_str())],
            _ => vec![(day, "*"), ("*", weekdays.as_str())],
        };
        let alternatives = days
            .into_iter()
            .map(|(day, weekday)| Schedule::from_str(&format!("0 {minute} {hour} {day} {month} {weekday}")))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| CronError::Field {
                line: line.to_owned(),
                field: format!("{minute} {hour} {day} {month}"),
            })?;
        let line_understood = Self { alternatives };
        match line_understood.next_after(Time::now()) {
            Some(_) => Ok(line_understood),
            None => Err(CronError::Never(line.to_owned())),
        }
    }
}

impl CronLine {
    /// The first time it names later than this one; none where the calendar has no such day.
    pub fn next_after(&self, time: Time) -> Option<Time> {
        let time: DateTime<Utc> = DateTime::from_timestamp_micros(time.0)?;
        self.alternatives
            .iter()
            .filter_map(|schedule| schedule.after(&time).next())
            .min()
            .map(|next| Time(next.timestamp_micros()))
    }
}

/// The days of the week in the crate's numbers; `None` for what is none.
fn weekdays(field: &str) -> Option<String> {
    if field == "*" {
        return Some(field.to_owned());
    }
    let mut days = std::collections::BTreeSet::new();
    for part in field.split(',') {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let step: usize = step.parse().ok().filter(|step| *step > 0)?;
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (0, 6),
            Some((first, last)) => (weekday(first)?, weekday(last)?),
            // `3/2` starts at Wednesday; a single day without a step is just that day.
            None if part.contains('/') => (weekday(range)?, 6),
            None => (weekday(range)?, weekday(range)?),
        };
        // `fri-sun` goes on to the 7 that is Sunday.
        let last = if last == 0 && first > 0 { 7 } else { last };
        if first > last {
            return None;
        }
        days.extend((first..=last).step_by(step).map(|day| day % 7 + 1));
    }
    Some(
        days.into_iter()
            .map(|day| day.to_string())
            .collect::<Vec<_>>()
            .join(","),
    )
}

/// 0 for Sunday … 6 for Saturday; 7 is Sunday again.
fn weekday(day: &str) -> Option<usize> {
    const NAMES: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    let named = NAMES.iter().position(|name| day.eq_ignore_ascii_case(name));
    named.or_else(|| day.parse().ok().filter(|day| *day <= 7))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(line: &str, after: &str) -> String {
        let after = DateTime::parse_from_rfc3339(after).expect("a time").timestamp_micros();
        let next = line
            .parse::<CronLine>()
            .expect("a cron line")
            .next_after(Time(after))
            .expect("a time");
        DateTime::from_timestamp_micros(next.0)
            .expect("a time")
            .format("%a %Y-%m-%d %H:%M:%S")
            .to_string()
    }

    #[test]
    fn lines_name_the_times_that_crontab_says() {
        // Sunday, 22 November 2026.
        let now = "2026-11-22T08:00:30Z";
        for (line, expected) in [
            ("*/5 * * * *", "Sun 2026-11-22 08:05:00"),
            ("0 8 * * *", "Mon 2026-11-23 08:00:00"),
            ("30 3 * * 0", "Sun 2026-11-29 03:30:00"),
            ("30 3 * * 7", "Sun 2026-11-29 03:30:00"),
            ("30 3 * * sun", "Sun 2026-11-29 03:30:00"),
            ("0 9 * * 1-5", "Mon 2026-11-23 09:00:00"),
            ("0 9 * * 6", "Sat 2026-11-28 09:00:00"),
            ("0 9 * * fri-sun", "Sun 2026-11-22 09:00:00"),
            ("0 7 * * fri-sun", "Fri 2026-11-27 07:00:00"),
            ("0 0 * * 2/2", "Tue 2026-11-24 00:00:00"),
            ("0 0 1 1 *", "Fri 2027-01-01 00:00:00"),
            ("0 0 29 2 *", "Tue 2028-02-29 00:00:00"),
            // Both kinds of days: whichever comes first.
            ("0 0 25 * 2", "Tue 2026-11-24 00:00:00"),
            ("0 0 23 * 2", "Mon 2026-11-23 00:00:00"),
        ] {
            assert_eq!(next(line, now), expected, "{line}");
        }
    }

    #[test]
    fn what_is_no_line_is_refused_with_what_to_write() {
        for line in [
            "",
            "* * * *",
            "* * * * * *",
            "61 * * * *",
            "* * * * 8",
            "* * * * */0",
            "* * * * x",
            "0 0 31 2 *",
            "@daily",
        ] {
            let refusal = line.parse::<CronLine>().expect_err(line).to_string();
            assert!(refusal.contains("cron line"), "{refusal}");
        }
    }
}
