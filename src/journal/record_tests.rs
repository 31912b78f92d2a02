use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::fence::HIGHEST_TOKEN;

/// A change that owns its texts.
#[derive(Clone, Debug)]
struct Owned {
    name: String,
    /// Whether it was just granted, then user, lease, token, TTL, note.
    held: Option<(bool, u32, u128, u64, u64, Option<String>)>,
}

impl Owned {
    fn change(&self) -> Change<'_> {
        match &self.held {
            None => Change::Gone { name: &self.name },
            Some((granted, user, lease, token, ttl, metadata)) => {
                let record = Record {
                    name: &self.name,
                    user: UserId(*user),
                    lease_id: Uuid::from_u128(*lease),
                    token: Fence::recovered(*token).unwrap(),
                    ttl: Ttl::from_seconds(*ttl).unwrap(),
                    metadata: metadata.as_deref(),
                };
                if *granted { Change::Granted(record) } else { Change::Extended(record) }
            }
        }
    }
}

fn a_change() -> impl Strategy<Value = Owned> {
    let name = "[a-zA-Z0-9-][a-zA-Z0-9.-]{0,127}";
    let note = proptest::option::of("\\PC{0,256}");
    let held = (any::<bool>(), any::<u32>(), any::<u128>(), 1..=HIGHEST_TOKEN, 1..=3600u64, note);
    (name, proptest::option::of(held)).prop_map(|(name, held)| Owned { name, held })
}

fn encoded(changes: &[Owned]) -> Vec<u8> {
    let mut out = Vec::new();
    changes.iter().for_each(|change| encode(&mut out, &change.change()));
    out
}

/// What there is to go wrong: one of each kind, the longest name, the longest note, no note and an empty one.
fn one_of_each() -> Vec<Owned> {
    let held = |note: Option<String>| Some((true, 7, 0x1234_5678_9abc, 42, 60, note));
    vec![
        Owned { name: "plain".into(), held: held(None) },
        Owned { name: "n".repeat(MAX_NAME_BYTES), held: held(Some("ü".repeat(MAX_METADATA_BYTES / 2))) },
        Owned { name: "empty".into(), held: held(Some(String::new())) },
        Owned { name: "extended".into(), held: Some((false, 7, 0x1234_5678_9abc, 43, 3600, None)) },
        Owned { name: "gone".into(), held: None },
    ]
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(changes in proptest::collection::vec(a_change(), 0..20)) {
        let bytes = encoded(&changes);
        let expected: Vec<_> = changes.iter().map(|change| Ok(change.change())).collect();
        prop_assert_eq!(decode(&bytes).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn any_bytes_are_decoded_or_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        well_formed_or_corrupt(&bytes);
    }

    #[test]
    fn bytes_that_begin_well_are_decoded_or_refused_without_a_panic(
        kind in proptest::sample::select(vec![GRANTED, EXTENDED, GONE, GRANTED | WITH_NOTE, EXTENDED | WITH_NOTE]), length in 0..=20u8, rest in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        well_formed_or_corrupt(&[&[kind, length][..], &rest].concat());
    }
}

/// Decodes, and checks that what comes out could have been put in: it gives the same bytes again.
fn well_formed_or_corrupt(bytes: &[u8]) {
    let mut again = Vec::new();
    for record in decode(bytes) {
        match record {
            Ok(change) => encode(&mut again, &change),
            Err(corrupt) => {
                assert_eq!(corrupt.at, again.len(), "the error names the record that is wrong");
                assert_eq!(again, bytes[..corrupt.at]);
                return;
            }
        }
    }
    assert_eq!(again, bytes, "each record has one spelling, and all bytes belong to one");
}

#[test]
fn every_cut_that_is_not_between_records_is_corrupt() {
    let changes = one_of_each();
    let bytes = encoded(&changes);
    let ends: Vec<usize> = (0..=changes.len()).map(|n| encoded(&changes[..n]).len()).collect();
    for cut in 0..=bytes.len() {
        let whole = decode(&bytes[..cut]).all(|record| record.is_ok());
        assert_eq!(whole, ends.contains(&cut), "cut at {cut}");
    }
}

#[test]
fn every_flipped_bit_gives_something_well_formed_or_corrupt() {
    let bytes = encoded(&one_of_each());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            well_formed_or_corrupt(&flipped);
        }
    }
}

#[test]
fn each_field_that_cannot_be_is_named() {
    let plain = encoded(&one_of_each()[..1]);
    let with_note = encoded(&one_of_each()[2..3]);
    let spoilt = |bytes: &[u8], at: usize, with: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[at..at + with.len()].copy_from_slice(with);
        decode(&bytes).next().unwrap().unwrap_err().what
    };
    let note = with_note.len() - 2;
    assert_eq!(spoilt(&plain, 0, &[0]), "is of no known kind");
    assert_eq!(spoilt(&plain, 0, &[4]), "is of no known kind");
    assert_eq!(spoilt(&plain, 0, &[GONE | WITH_NOTE]), "is of no known kind");
    assert_eq!(spoilt(&plain, 1, &[0]), "has an impossible lock name");
    assert_eq!(spoilt(&plain, 1, &[6]), "is cut off");
    assert_eq!(spoilt(&plain, 2, &0u16.to_le_bytes()), "has an impossible TTL");
    assert_eq!(spoilt(&plain, 2, &3601u16.to_le_bytes()), "has an impossible TTL");
    assert_eq!(spoilt(&plain, 8, &0u64.to_le_bytes()), "has an impossible token");
    assert_eq!(spoilt(&plain, 8, &(HIGHEST_TOKEN + 1).to_le_bytes()), "has an impossible token");
    assert_eq!(spoilt(&plain, 32, b"/"), "has an impossible lock name");
    assert_eq!(spoilt(&with_note, note, &1025u16.to_le_bytes()), "has a note that is too long");
    let not_utf8 = [&with_note[..note], &[1, 0, 0xff]].concat();
    assert_eq!(decode(&not_utf8).next().unwrap().unwrap_err().what, "has a note that is not UTF-8");
}

#[test]
fn after_an_error_there_is_nothing_more() {
    let mut bytes = encoded(&one_of_each()[..1]);
    let good = bytes.len();
    bytes.extend_from_slice(&[0xff, 1, 2, 3]);
    let mut records = decode(&bytes);
    assert!(records.next().unwrap().is_ok());
    assert_eq!(records.next(), Some(Err(Corrupt { at: good, what: "is of no known kind" })));
    assert_eq!(records.next(), None);
    assert_eq!(Corrupt { at: 9, what: "is cut off" }.to_string(), "the record at byte 9 is cut off");
}

#[test]
#[should_panic(expected = "a note of 1025 bytes")]
fn a_note_that_nobody_checked_is_not_written() {
    let name = "a".to_owned();
    let held = Some((true, 0, 0, 1, 1, Some("x".repeat(MAX_METADATA_BYTES + 1))));
    encoded(&[Owned { name, held }]);
}
