//! The calendar: a moment of Unix time as the year, month and day, hour, minute and second that people read, in UTC.
//!
//! Two texts need it, both of a fixed width: the Date header and the times in answers. What lies outside 1970 to 9999
//! stops at the nearer end, so that four digits always hold the year.

/// The last second of the year 9999.
pub const LAST_S: u64 = 253_402_300_799;

const S_PER_DAY: u64 = 86_400;

/// A second in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utc {
    /// 1970 to 9999.
    pub year: u64,
    /// 1 to 12.
    pub month: u64,
    /// 1 to 31.
    pub day: u64,
    /// Days since the last Sunday.
    pub weekday: u64,
    /// 0 to 23.
    pub hour: u64,
    /// 0 to 59.
    pub minute: u64,
    /// 0 to 59.
    pub second: u64,
}

impl Utc {
    /// `unix_s` seconds after 1970, and [`LAST_S`] at the most.
    #[inline]
    pub fn at(unix_s: u64) -> Utc {
        let unix_s = unix_s.min(LAST_S);
        let (days, s) = (unix_s / S_PER_DAY, unix_s % S_PER_DAY);
        let (year, month, day) = civil(days);
        // 1970 began on a Thursday.
        Utc { year, month, day, weekday: (days + 4) % 7, hour: s / 3600, minute: s / 60 % 60, second: s % 60 }
    }
}

/// Year, month and day, `days` after 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"): years
/// begin in March, so that the leap day is their last, and 400 of them always have 146,097 days.
#[inline]
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (400 * era + year_of_era + u64::from(month <= 2), month, day)
}

/// Writes the last digits of a number, as many as `place` has bytes, with zeros before them.
#[inline]
pub fn digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_second_is_what_another_calendar_says(unix_s in 0..=jiff::Timestamp::MAX.as_second()) {
            let at = jiff::Timestamp::from_second(unix_s).unwrap();
            let Utc { year, month, day, weekday, hour, minute, second } = Utc::at(unix_s as u64);
            let shown = format!("{weekday} {year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
            prop_assert_eq!(shown, at.strftime("%w %Y-%m-%d %H:%M:%S").to_string());
        }
    }

    #[test]
    fn it_stops_at_the_end_of_the_year_9999() {
        let last = Utc { year: 9999, month: 12, day: 31, weekday: 5, hour: 23, minute: 59, second: 59 };
        assert_eq!((Utc::at(LAST_S), Utc::at(u64::MAX)), (last, last));
    }

    #[test]
    fn digits_fill_their_place() {
        let mut place = *b"xxx";
        digits(&mut place, 7);
        assert_eq!(&place, b"007");
        digits(&mut place, 12_345);
        assert_eq!(&place, b"345");
    }
}
