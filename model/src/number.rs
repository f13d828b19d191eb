//! Conversions between integer types that cannot fail: a number that does not fit becomes the nearest value.

use std::time::Duration;

/// Converts a count. A count that is too large becomes the largest `i64`.
pub fn to_i64(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// Converts a count. A count that is too large becomes the largest `u32`.
pub fn to_u32(count: impl TryInto<u32>) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}

/// Converts a count. A count that is too large becomes the largest `usize`.
pub fn to_usize(count: impl TryInto<usize>) -> usize {
    count.try_into().unwrap_or(usize::MAX)
}

/// Converts a number of at most 64 bits. A negative number becomes zero.
pub fn to_u64(number: impl TryInto<u64>) -> u64 {
    number.try_into().unwrap_or_default()
}

/// Returns the milliseconds of a duration, as the database stores them.
pub fn millis(duration: Duration) -> i64 {
    to_i64(duration.as_millis())
}

/// Returns the duration of stored milliseconds. A negative number becomes zero.
pub fn from_millis(millis: i64) -> Duration {
    Duration::from_millis(to_u64(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_become_the_nearest_in_range() {
        assert_eq!((to_i64(7u64), to_i64(u64::MAX)), (7, i64::MAX));
        assert_eq!((to_u32(7usize), to_u32(u64::MAX)), (7, u32::MAX));
        assert_eq!((to_usize(7u64), to_usize(u128::MAX)), (7, usize::MAX));
        assert_eq!((to_u64(7i64), to_u64(-7i64)), (7, 0));
        assert_eq!((from_millis(7000), from_millis(-1)), (Duration::from_secs(7), Duration::ZERO));
        assert_eq!((millis(Duration::from_secs(7)), millis(Duration::MAX)), (7000, i64::MAX));
    }
}
