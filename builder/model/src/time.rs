//! Times as people write them, in UTC.

/// Year, month and day of a number of days since 1970-01-01, in the proleptic Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // Counted from the first of March of year 0, in eras of 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// `2026-11-21`, from seconds since 1970.
pub fn day(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `2026-11-21 08:00:00`, from seconds since 1970.
pub fn moment(seconds: u64) -> String {
    let rest = seconds % 86_400;
    format!("{} {:02}:{:02}:{:02}", day(seconds), rest / 3600, rest / 60 % 60, rest % 60)
}

/// `20261121080000`, from seconds since 1970.
pub fn compact(seconds: u64) -> String {
    moment(seconds).chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn moments() {
        assert_eq!(super::moment(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(super::moment(951_782_399), "2000-02-28 23:59:59");
        assert_eq!(super::compact(0), "19700101000000");
        assert_eq!(super::compact(1_686_503_798), "20230611171638");
        assert_eq!(super::day(4_107_542_400), "2100-03-01");
    }
}
