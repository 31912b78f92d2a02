//! How long a row of `journal` is made, so that the next commit in its slot takes its very place.
//!
//! SQLite writes whole pages, and a commit costs what the pages cost that it touches. Rows of all sizes, side by
//! side, push each other about: a row that is longer than the one before it splits a page, and then the neighbours, the
//! tree above them and the list of free pages are written as well, seven pages instead of two. So every row is filled
//! up to a whole number of pages, one, two, four, eight: then a leaf holds one row, and a row of the same
//! length is written over the old one where it is (`btreeOverwriteCell` in SQLite's btree.c; pages of the padding that
//! were zeros before are not even written).
//!
//! The arithmetic is that of SQLite's file format (sections 1.6 and 2.1 of its description), for pages of
//! 4096 bytes without a reserved end. Were it wrong, commits would cost more, and nothing else.

/// Bytes of a payload that fill the row's own page, so that no second row fits in; a payload longer than what a page takes
/// (4061) keeps so many there if the rest fills its overflow pages.
const OWN_PAGE: usize = 4000;
/// Bytes of payload in an overflow page.
const OVERFLOW_PAGE: usize = 4092;
/// The header's own length, the types of `slot` (0 bytes, it is the row's key), `number`, `mark` and `checksum`.
const HEADER: usize = 5;

/// How many bytes of padding go with so many bytes of records, beside these three numbers.
pub(super) fn padding(records: usize, numbers: [u64; 3]) -> usize {
    let fixed = HEADER + numbers.map(integer_bytes).iter().sum::<usize>() + type_bytes(records) + records;
    let beyond = (fixed + 1).saturating_sub(OWN_PAGE).div_ceil(OVERFLOW_PAGE);
    // One page and none, one, three, seven more.
    let overflow = if beyond == 0 { 0 } else { (beyond + 1).next_power_of_two() - 1 };
    let whole = OWN_PAGE + overflow * OVERFLOW_PAGE;
    let left = whole - fixed;
    left - type_bytes(left)
}

/// The bytes of a type that says "a blob of this length": a varint of 12 + 2 × length.
fn type_bytes(length: usize) -> usize {
    let bits = usize::BITS - (12 + 2 * length).leading_zeros();
    bits.div_ceil(7) as usize
}

/// The bytes of an integer that is not negative.
fn integer_bytes(value: u64) -> usize {
    match value {
        0 | 1 => 0,
        _ => [1, 2, 3, 4, 6].into_iter().find(|bytes| value < 1 << (8 * bytes - 1)).unwrap_or(8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(records: usize, numbers: [u64; 3]) -> usize {
        let padding = padding(records, numbers);
        let types = type_bytes(records) + type_bytes(padding);
        HEADER + numbers.map(integer_bytes).iter().sum::<usize>() + types + records + padding
    }

    #[test]
    fn a_payload_has_one_of_few_lengths() {
        let lengths: Vec<usize> =
            [1, 2, 4, 8, 16, 32].iter().map(|pages| OWN_PAGE + (pages - 1) * OVERFLOW_PAGE).collect();
        for records in 0..100_000 {
            let length = payload(records, [7, 4711, 0xdead_beef]);
            // Where a type grows by a byte there is a length that cannot be met.
            let is_met = lengths.iter().any(|wanted| length == *wanted || length + 1 == *wanted);
            assert!(is_met && length >= records, "{records} bytes come to {length}");
        }
    }

    #[test]
    fn what_the_numbers_take_is_reckoned_in() {
        for checksum in [0, 1, 0x7f, 0x80, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
            assert_eq!(payload(100, [1 << 40, 1 << 52, checksum]), OWN_PAGE, "{checksum:x}");
        }
        let sizes = [0, 1, 2, 127, 128, 32_767, 32_768, 1 << 23, 1 << 31, 1 << 47, 1 << 52].map(integer_bytes);
        assert_eq!(sizes, [0, 0, 1, 1, 2, 2, 3, 4, 6, 8, 8]);
    }
}
