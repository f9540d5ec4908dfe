//! Durations, sizes and shares of a CPU as people write them (`5s`, `512m`, `0.25`).

use std::time::Duration;

/// Parses a duration such as `200ms`, `5s` or `1m 30s`.
///
/// # Errors
/// A message that says what was expected.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim())
        .map_err(|_| format!("`{text}` is not a duration; write a number with a unit, such as 200ms, 5s or 1m"))
}

/// Formats a duration for [`parse_duration`], in the largest whole unit.
#[must_use]
pub(crate) fn show_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

/// Parses a size in bytes such as `512m`, `2g`, `64k` or `1073741824` (binary units, like Docker's options).
///
/// # Errors
/// A message that says what was expected.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: u64 = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(wrong_size(text)),
    };
    let number: u64 = digits.parse().map_err(|_| wrong_size(text))?;
    number.checked_mul(factor).ok_or_else(|| wrong_size(text))
}

fn wrong_size(text: &str) -> String {
    format!("`{text}` is not a size; write a whole number with a unit, such as 512m or 2g")
}

/// Formats a size for [`parse_bytes`].
#[must_use]
pub(crate) fn show_bytes(bytes: u64) -> String {
    for (shift, unit) in [(30, "g"), (20, "m"), (10, "k")] {
        if bytes >= 1 << shift && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// Parses a share of CPUs such as `0.25` or `2`, in thousandths of one CPU.
///
/// # Errors
/// A message that says what was expected.
pub(crate) fn parse_cpu(text: &str) -> Result<u32, String> {
    let wrong = || format!("`{text}` is not a number of CPUs; write one such as 0.25 or 2");
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    if part.len() > 3 || !(whole.to_owned() + part).bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let whole: u32 = whole.parse().map_err(|_| wrong())?;
    let part: u32 = format!("{part:0<3}").parse().map_err(|_| wrong())?;
    whole.checked_mul(1000).and_then(|w| w.checked_add(part)).ok_or_else(wrong)
}

/// Formats thousandths of a CPU for [`parse_cpu`].
#[must_use]
pub(crate) fn show_cpu(milli: u32) -> String {
    if milli.is_multiple_of(1000) {
        return (milli / 1000).to_string();
    }
    format!("{}.{:03}", milli / 1000, milli % 1000).trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses_sizes_and_shares() {
        assert_eq!(parse_bytes("512m"), Ok(512 << 20));
        assert_eq!(parse_bytes("2GB"), Ok(2 << 30));
        assert_eq!(parse_cpu("0.25"), Ok(250));
        assert_eq!(parse_cpu("2"), Ok(2000));
        for bad in ["", "m", "-1m", "1.5g", "12q", "99999999999999999999g"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
        for bad in ["", ".", "1.2345", "-1", "a", "1.-2", "1e3"] {
            assert!(parse_cpu(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parses_what_it_formats(bytes in 0u64..1 << 50, milli in 0u32..1_000_000, ms in 1u64..10_000_000) {
            prop_assert_eq!(parse_bytes(&show_bytes(bytes)), Ok(bytes));
            prop_assert_eq!(parse_cpu(&show_cpu(milli)), Ok(milli));
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }
    }
}
