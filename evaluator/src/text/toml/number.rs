//! Numbers, dates and times.

use super::Toml;
use super::lexical::Cursor;
use super::report::{Region, Report};

const INTEGER_HINT: &str =
    "Hint: valid  : -42, 1_000, 1_2_3_4_5, 0xC0FFEE, 0b0010, 0o755\nHint: invalid: _42, 1__000, 0123\n";
const FLOAT_HINT: &str = "Hint: valid  : +1.0, -2e-2, 3.141_592_653_589, inf, nan\nHint: invalid: .0, 1., _1.0, 1.0_, 1_.0, 1.0__0\n";
const DATETIME_HINT: &str = "Hint: valid  : 1979-05-27T07:32:00-07:00, 1979-05-27 07:32:00.999999Z\nHint: invalid: 1979-05-27T7:32:00-7:00, 1979-05-27 7:32-00:30";
const TIME_HINT: &str = "Hint: valid  : 1979-05-27T07:32:00, 1979-05-27 07:32:00.999999\nHint: invalid: 1979-05-27T7:32:00, 1979-05-27 17:32\n";

/// What a value that nothing else fits is.
pub fn unknown(position: usize) -> Report {
    Report::new("bad format: unknown value appeared", Region::at(position), "here")
}

impl Cursor<'_> {
    /// A number, a date or a time, by how it begins.
    pub fn number(&mut self) -> Result<Toml, Report> {
        let rest = self.rest();
        if has_digits(rest, 4) && rest.get(4) == Some(&b'-') {
            return self.date_and_time();
        }
        if has_digits(rest, 2)
            && rest.get(2) == Some(&b':')
            && has_digits(rest.get(3..).unwrap_or_default(), 2)
        {
            return self.time().map(Toml::Timestamp);
        }
        let unsigned = rest.strip_prefix(b"+").or_else(|| rest.strip_prefix(b"-")).unwrap_or(rest);
        match unsigned {
            [b'0', b'x', ..] => self.prefixed(Radix::HEX),
            [b'0', b'o', ..] => self.prefixed(Radix::OCTAL),
            [b'0', b'b', ..] => self.prefixed(Radix::BINARY),
            [b'i', b'n', b'f', ..] | [b'n', b'a', b'n', ..] => Ok(self.not_finite()),
            _ => self.decimal(),
        }
    }

    /// `inf` or `nan`, with or without a sign.
    fn not_finite(&mut self) -> Toml {
        let negative = self.eat(b"-");
        self.eat(b"+");
        let value = if self.rest().starts_with(b"i") { f64::INFINITY } else { f64::NAN };
        self.position += 3;
        Toml::Float(if negative { -value } else { value })
    }

    fn prefixed(&mut self, radix: Radix) -> Result<Toml, Report> {
        let malformed = |position, note| {
            let title = format!("toml::{}: invalid integer: {}", radix.parser, radix.example);
            Report::new(title, Region::at(position), note)
        };
        if self.peek() != Some(b'0') {
            return Err(malformed(self.position, radix.expected_prefix));
        }
        self.position += 2;
        let start = self.position;
        self.digits(|byte| char::from(byte).is_digit(radix.base));
        if self.position == start {
            return Err(malformed(start, radix.expected_digit));
        }
        match i64::from_str_radix(&without_underscores(&self.text[start..self.position]), radix.base) {
            Ok(value) => Ok(Toml::Int(value)),
            Err(_) => {
                let title = format!("toml::{}: too large integer: current max value = 2^63", radix.parser);
                Err(Report::new(title, Region::at(self.position), "must be < 2^63"))
            }
        }
    }

    /// Digits with single underscores between them.
    fn digits(&mut self, is_digit: impl Fn(u8) -> bool) {
        loop {
            let start = self.position;
            self.skip_while(&is_digit);
            let underscore_between =
                self.position > start && matches!(self.rest(), [b'_', next, ..] if is_digit(*next));
            if !underscore_between {
                return;
            }
            self.position += 1;
        }
    }

    fn decimal(&mut self) -> Result<Toml, Report> {
        let start = self.position;
        if matches!(self.peek(), Some(b'+' | b'-')) {
            self.position += 1;
        }
        let whole_start = self.position;
        self.digits(|byte| byte.is_ascii_digit());
        if self.position == whole_start {
            return Err(no_digits(self.rest(), start, self.position));
        }
        if self.text[whole_start] == b'0' && self.position > whole_start + 1 {
            let report = match self.text[whole_start + 1] {
                b'_' => {
                    let title = "bad integer: leading zero is not allowed in decimal int";
                    Report::new(title, Region::at(whole_start + 1), "leading zero")
                }
                _ => {
                    let title = "bad integer: invalid digit after an integer";
                    Report::new(title, Region::at(whole_start + 1), "this digit is not allowed")
                }
            };
            return Err(report.hint(INTEGER_HINT));
        }
        let float = self.fraction_and_exponent()?;
        match self.peek() {
            Some(b'_') => {
                let (title, hint) = match float {
                    true => ("bad float: `_` must be surrounded by digits", FLOAT_HINT),
                    false => ("bad integer: `_` must be surrounded by digits", INTEGER_HINT),
                };
                return Err(Report::new(title, Region::at(self.position), "invalid underscore").hint(hint));
            }
            Some(b'-') if !float => return Err(bad_datetime(self.position)),
            _ => {}
        }
        let text = without_underscores(&self.text[start..self.position]);
        if float {
            // What is left is a number for Rust too.
            let value: f64 = text.parse().unwrap_or(f64::INFINITY);
            let title = "toml::parse_floating: failed to read floating point value from stream";
            let report = Report::new(title, Region::at(self.position), "here");
            return if value.is_finite() { Ok(Toml::Float(value)) } else { Err(report) };
        }
        text.parse().map(Toml::Int).map_err(|_| {
            let title = "toml::parse_dec_integer: too large integer: current max digits = 2^63";
            Report::new(title, Region::at(self.position), "must be < 2^63")
        })
    }

    /// Whether there was one of both.
    fn fraction_and_exponent(&mut self) -> Result<bool, Report> {
        let mut float = false;
        let point = self.position;
        if self.eat(b".") {
            float = true;
            self.digits(|byte| byte.is_ascii_digit());
            if self.position == point + 1 {
                return Err(bad_float(point));
            }
        }
        let exponent = self.position;
        if self.eat(b"e") || self.eat(b"E") {
            float = true;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.position += 1;
            }
            let digits = self.position;
            self.digits(|byte| byte.is_ascii_digit());
            if self.position == digits {
                return Err(bad_float(exponent));
            }
        }
        Ok(float)
    }

    fn date_and_time(&mut self) -> Result<Toml, Report> {
        let start = self.position;
        let text = self.rest();
        if !(has_digits(&text[5..], 2) && text.get(7) == Some(&b'-') && has_digits(&text[8..], 2)) {
            return Err(bad_datetime(start + 4));
        }
        let (year, month, day) = (two(text) * 100 + two(&text[2..]), two(&text[5..]), two(&text[8..]));
        self.position += 10;
        if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
            let note = "month must be 01-12, day must be any of 01-28,29,30,31 depending on the month/year.";
            return Err(Report::new("toml::parse_local_date: invalid date.", Region::at(start), note));
        }
        let mut shown = format!("{year:04}-{month:02}-{day:02}");
        let has_time = match self.rest() {
            [b'T' | b't', ..] => true,
            [b'0'..=b'9', ..] => {
                let place = Region::at(self.position);
                let note = "expected T, t, or 0x20(SPACE)";
                return Err(Report::new("bad datetime: missing T or space", place, note).hint(TIME_HINT));
            }
            [b' ', after @ ..] => has_digits(after, 2),
            _ => false,
        };
        if !has_time {
            return Ok(Toml::Timestamp(shown));
        }
        self.position += 1;
        shown.push('T');
        shown.push_str(&self.time()?);
        shown.push_str(&self.offset()?);
        Ok(Toml::Timestamp(shown))
    }

    fn time(&mut self) -> Result<String, Report> {
        let start = self.position;
        let bad = |position, note| {
            Report::new("bad time: must be HH:MM:SS.subsec", Region::at(position), note).hint(TIME_HINT)
        };
        let mut parts = [0; 3];
        for (index, part) in parts.iter_mut().enumerate() {
            if index > 0 && !self.eat(b":") {
                return Err(bad(self.position, "expected :"));
            }
            if !has_digits(self.rest(), 2) {
                let good = usize::from(has_digits(self.rest(), 1));
                return Err(bad(self.position + good, "expected digit [0-9]"));
            }
            *part = two(self.rest());
            self.position += 2;
        }
        let [hour, minute, second] = parts;
        let invalid = |note| Report::new("toml::parse_local_time: invalid time.", Region::at(start), note);
        if hour > 23 || minute > 59 {
            return Err(invalid("hour must be 00-23, minute must be 00-59."));
        }
        if second > 60 {
            return Err(invalid("second must be 00-60."));
        }
        let mut shown = format!("{hour:02}:{minute:02}:{second:02}");
        if matches!(self.rest(), [b'.', digit, ..] if digit.is_ascii_digit()) {
            self.position += 1;
            let fraction = self.position;
            self.skip_while(|byte| byte.is_ascii_digit());
            shown.push_str(&subseconds(&self.text[fraction..self.position]));
        }
        Ok(shown)
    }

    fn offset(&mut self) -> Result<String, Report> {
        if self.eat(b"Z") || self.eat(b"z") {
            return Ok("Z".to_owned());
        }
        let Some(sign @ (b'+' | b'-')) = self.peek() else { return Ok(String::new()) };
        let text = &self.rest()[1..];
        if !(has_digits(text, 2) && text.get(2) == Some(&b':') && has_digits(&text[3..], 2)) {
            return Err(bad_datetime(self.position));
        }
        let (hour, minute) = (two(text), two(&text[3..]));
        if hour > 23 || minute > 59 {
            let note = "hour must be 00-23, minute must be 00-59.";
            let title = "toml::parse_offset_datetime: invalid offset.";
            return Err(Report::new(title, Region::at(self.position), note));
        }
        self.position += 6;
        match (hour, minute) {
            (0, 0) => Ok("Z".to_owned()),
            _ => Ok(format!("{}{hour:02}:{minute:02}", char::from(sign))),
        }
    }
}

/// An integer with a prefix.
#[derive(Clone, Copy)]
struct Radix {
    base: u32,
    parser: &'static str,
    example: &'static str,
    expected_prefix: &'static str,
    expected_digit: &'static str,
}

impl Radix {
    const HEX: Radix = Radix {
        base: 16,
        parser: "parse_hex_integer",
        example: "hex_int must be like: 0xC0FFEE, 0xdead_beef",
        expected_prefix: "expected 0x",
        expected_digit: "expected hex [0-9a-fA-F]",
    };
    const OCTAL: Radix = Radix {
        base: 8,
        parser: "parse_oct_integer",
        example: "oct_int must be like: 0o775, 0o04_44",
        expected_prefix: "expected 0o",
        expected_digit: "expected from `0` to `7`",
    };
    const BINARY: Radix = Radix {
        base: 2,
        parser: "parse_bin_integer",
        example: "bin_int must be like: 0b0101, 0b1111_0000",
        expected_prefix: "expected 0b",
        expected_digit: "expected 0 or 1",
    };
}

fn no_digits(rest: &[u8], start: usize, position: usize) -> Report {
    match rest.first() {
        Some(b'.') if rest.get(1).is_some_and(u8::is_ascii_digit) => {
            let title = "bad float: integer part is required before decimal point";
            Report::new(title, Region::at(position), "missing integer part").hint(FLOAT_HINT)
        }
        Some(b'_') => {
            let title = "bad number: `_` must be surrounded by digits";
            Report::new(title, Region::at(position), "digits required before `_`").hint(INTEGER_HINT)
        }
        _ => unknown(start),
    }
}

fn bad_float(position: usize) -> Report {
    Report::new("bad float: invalid format", Region::at(position), "here").hint(FLOAT_HINT)
}

fn bad_datetime(position: usize) -> Report {
    Report::new("bad datetime: invalid format", Region::at(position), "here").hint(DATETIME_HINT)
}

fn has_digits(text: &[u8], count: usize) -> bool {
    text.len() >= count && text[..count].iter().all(u8::is_ascii_digit)
}

/// The number in the first two digits.
fn two(text: &[u8]) -> u32 {
    text.iter().take(2).fold(0, |value, byte| value * 10 + u32::from(byte - b'0'))
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Milli-, micro- and nanoseconds, three digits each, without those at the end that are zero.
fn subseconds(digits: &[u8]) -> String {
    let text: String =
        digits.iter().map(|&digit| char::from(digit)).chain("000000000".chars()).take(9).collect();
    let mut shown = format!(".{text}");
    while shown.ends_with("000") {
        shown.truncate(shown.len() - 3);
    }
    if shown == "." { String::new() } else { shown }
}

fn without_underscores(text: &[u8]) -> String {
    text.iter().filter(|&&byte| byte != b'_').map(|&byte| char::from(byte)).collect()
}
