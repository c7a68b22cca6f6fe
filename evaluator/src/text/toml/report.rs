//! Faults in a TOML text, shown with the lines they are in.

use bstr::BString;

/// A part of the text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    pub start: usize,
    pub end: usize,
}

impl Region {
    pub fn at(start: usize) -> Region {
        Region { start, end: start + 1 }
    }
}

/// One fault.
#[derive(Debug, Clone)]
pub struct Report {
    pub title: String,
    /// Where, and what about it.
    pub marks: Vec<(Region, &'static str)>,
    /// Lines to add at the end.
    pub hint: &'static str,
}

impl Report {
    pub fn new(title: impl Into<String>, region: Region, note: &'static str) -> Report {
        Report { title: title.into(), marks: vec![(region, note)], hint: "" }
    }

    pub fn and(mut self, region: Region, note: &'static str) -> Report {
        self.marks.push((region, note));
        self
    }

    pub fn hint(mut self, hint: &'static str) -> Report {
        self.hint = hint;
        self
    }

    /// Appends the fault as toml11 prints it. The text ends with a line end.
    pub fn write(&self, out: &mut BString, text: &[u8], file: &str) {
        let places: Vec<Place> =
            self.marks.iter().flat_map(|&(region, note)| places(text, region, note)).collect();
        let width = places.iter().map(|place| place.line.to_string().len()).max().unwrap_or(1);
        let blank = format!(" {:width$} |", "");
        let mut lines = vec![format!("[error] {}", self.title), format!(" --> {file}"), blank.clone()];
        for (index, place) in places.iter().enumerate() {
            if place.starts_mark && index > 0 {
                lines.extend([format!("{blank} ..."), blank.clone()]);
            }
            lines.push(format!(" {:width$} | {}", place.line, place.text).trim_end().to_owned());
            lines.push(format!("{blank} {}", place.underline));
        }
        lines.extend(self.hint.lines().map(str::to_owned));
        out.extend_from_slice(lines.join("\n").as_bytes());
        if self.hint.is_empty() || self.hint.ends_with('\n') {
            out.push(b'\n');
        }
    }
}

/// A line that is shown, with what stands below it.
struct Place {
    line: usize,
    text: String,
    underline: String,
    starts_mark: bool,
}

/// How much of a long line is shown before what is marked, and, with the last marked byte, after it.
const AROUND: usize = 30;

fn places(text: &[u8], region: Region, note: &str) -> Vec<Place> {
    let line = 1 + memchr::memchr_iter(b'\n', &text[..region.start.min(text.len())]).count();
    if region.start >= text.len() {
        return places_at_end(text, line, note);
    }
    let start = memchr::memrchr(b'\n', &text[..region.start]).map_or(0, |at| at + 1);
    let end = memchr::memchr(b'\n', &text[region.start..]).map_or(text.len(), |at| region.start + at);
    let marked_end = region.end.min(end).max(region.start + 1);
    let (before, indent) = match region.start - start <= AROUND {
        true => (show(&text[start..region.start]), ""),
        false => (show(&text[region.start - AROUND..region.start]), "... "),
    };
    let (after, rest) = match end < marked_end + AROUND {
        true => (show(&text[region.start..end]), ""),
        false => (show(&text[region.start..marked_end + AROUND - 1]), " ..."),
    };
    // toml11 counts the bytes of the text, though it spells some out.
    let spaces = " ".repeat(indent.len() + (region.start - start).min(AROUND));
    let underline = format!("{spaces}{}-- {note}", "^".repeat(marked_end - region.start));
    vec![Place { line, text: format!("{indent}{before}{after}{rest}"), underline, starts_mark: true }]
}

/// At the end of the text toml11 shows the last line, and then all of the text as if it were a line.
fn places_at_end(text: &[u8], line: usize, note: &str) -> Vec<Place> {
    let all = text.strip_suffix(b"\n").unwrap_or(text);
    let last = all.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    let first_length = all.split(|&byte| byte == b'\n').next().unwrap_or_default().len();
    let dashes = format!("{}--", " ".repeat(last.len()));
    let carets = format!("{}-- {note}", "^".repeat(first_length + 1));
    vec![
        Place { line: line.saturating_sub(1).max(1), text: show(last), underline: dashes, starts_mark: true },
        Place { line, text: show(all), underline: carets, starts_mark: false },
    ]
}

/// A line with what cannot be printed spelled out.
fn show(line: &[u8]) -> String {
    let mut shown = String::new();
    for &byte in line {
        match byte {
            b'\t' => shown.push_str("0x09(TAB)"),
            b'\n' => shown.push_str("0x0a(LINE FEED)"),
            b'\r' => shown.push_str("0x0d(CARRIAGE RETURN)"),
            b' '..=b'~' => shown.push(char::from(byte)),
            other => shown.push_str(&format!("0x{other:02x}")),
        }
    }
    shown
}
