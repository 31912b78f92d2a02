//! The parser on any bytes: it never panics, changes nothing that is incomplete, and says early what it says late.
#![no_main]

use libfuzzer_sys::fuzz_target;
use octostore::http::limits::MAX_REQUEST_BYTES;
use octostore::http::{Step, parse};

fuzz_target!(|bytes: &[u8]| {
    let mut whole = bytes.to_vec();
    let refused = match parse(&mut whole) {
        Ok(Step::Complete { request, consumed }) => {
            assert!(0 < consumed && consumed <= bytes.len());
            assert!(request.fields.iter().count() <= 64 && request.path.len() <= 2048);
            assert_eq!(
                request.fields.named("content-length").count() + request.fields.named("transfer-encoding").count() > 1,
                false,
                "one framing"
            );
            None
        }
        Ok(Step::Incomplete { .. }) => {
            assert!(bytes.len() < MAX_REQUEST_BYTES, "a full buffer has an answer");
            assert_eq!(whole, bytes);
            None
        }
        Err(refusal) => Some(refusal),
    };
    // However early it is refused, it is refused for the same reason; and what is refused early is never accepted late.
    for cut in [bytes.len() / 4, bytes.len() / 2, bytes.len().saturating_sub(1)] {
        if let Err(early) = parse(&mut bytes[..cut].to_vec()) {
            assert_eq!(Some(early), refused, "cut at {cut}");
        }
    }
});
