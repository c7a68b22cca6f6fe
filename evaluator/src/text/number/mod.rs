//! Numbers as text, in the three ways in which Nix writes floats: as printed values, by `toString`, and in JSON.

mod grisu;

/// A float as a printed value and in XML: C's `%g`, six significant digits.
pub fn print_float(value: f64) -> String {
    const PRECISION: i32 = 6;
    if let Some(text) = not_finite(value) {
        return text.to_owned();
    }
    // Rounded to six digits first: the rounding may change the exponent, which decides on the form.
    let scientific = format!("{value:.*e}", PRECISION as usize - 1);
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..PRECISION).contains(&exponent) {
        let places = (PRECISION - 1 - exponent) as usize;
        without_trailing_zeros(&format!("{value:.places$}")).to_owned()
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", without_trailing_zeros(digits), exponent.abs())
    }
}

/// A float as `toString` gives it: C's `%f`, six digits after the point.
pub fn float_to_string(value: f64) -> String {
    match not_finite(value) {
        Some(text) => text.to_owned(),
        None => format!("{value:.6}"),
    }
}

/// A float in JSON, as nlohmann's library writes it: Grisu2's digits, which are the fewest that read back as the same
/// number in all but some cases. What is not finite is `null`.
pub fn float_to_json(value: f64) -> String {
    /// Where the decimal point may stand, relative to the first digit, without an exponent.
    const PLAIN: std::ops::RangeInclusive<i32> = -3..=15;
    if !value.is_finite() {
        return "null".to_owned();
    }
    let mut out = String::from(if value.is_sign_negative() { "-" } else { "" });
    if value == 0.0 {
        out.push_str("0.0");
        return out;
    }
    let (digits, exponent) = grisu::shortest(value.abs());
    let count = digits.len() as i32;
    let point = count + exponent;
    if !PLAIN.contains(&point) {
        let (first, others) = digits.split_at(1);
        let separator = if others.is_empty() { "" } else { "." };
        let exponent = point - 1;
        let sign = if exponent < 0 { '-' } else { '+' };
        out.push_str(&format!("{first}{separator}{others}e{sign}{:02}", exponent.abs()));
    } else if point <= 0 {
        out.push_str(&format!("0.{}{digits}", "0".repeat(-point as usize)));
    } else if point < count {
        let (whole, fraction) = digits.split_at(point as usize);
        out.push_str(&format!("{whole}.{fraction}"));
    } else {
        out.push_str(&format!("{digits}{}.0", "0".repeat((point - count) as usize)));
    }
    out
}

/// Infinities and what is not a number, as C prints them: with their sign.
fn not_finite(value: f64) -> Option<&'static str> {
    let negative = value.is_sign_negative();
    match (value.is_nan(), value.is_infinite()) {
        (true, _) => Some(if negative { "-nan" } else { "nan" }),
        (_, true) => Some(if negative { "-inf" } else { "inf" }),
        _ => None,
    }
}

fn without_trailing_zeros(digits: &str) -> &str {
    match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => digits,
    }
}

#[cfg(test)]
mod tests;
