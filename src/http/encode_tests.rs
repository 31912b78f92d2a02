//! The bytes of answers, and what must never be written.

use super::super::RequestIds;
use super::*;

fn head(status: u16) -> Head<'static> {
    let request_id = RequestIds::new(0xfeed_beef, 1).mint();
    Head { status, content_type: JSON, request_id, date: Date::at(1_795_416_000), keep_alive: true, extra: &[] }
}

fn written(head: &Head<'_>, body: &str, head_only: bool) -> String {
    let mut out = Vec::new();
    respond(&mut out, head, body.as_bytes(), head_only);
    String::from_utf8(out).expect("ASCII")
}

#[test]
fn an_answer_has_its_length_its_type_a_date_and_an_id() {
    assert_eq!(
        written(&head(200), "{}", false),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
         Date: Mon, 23 Nov 2026 06:40:00 GMT\r\nX-Request-Id: feedbeef0001000000000001\r\n\r\n{}"
    );
}

#[test]
fn an_answer_that_closes_says_so() {
    let closing = written(&Head { keep_alive: false, ..head(200) }, "{}", false);
    assert!(closing.ends_with("\r\nConnection: close\r\n\r\n{}"), "{closing}");
    assert!(!written(&head(200), "{}", false).contains("Connection"));
}

#[test]
fn further_headers_come_as_given() {
    let extra = [("Retry-After", "2"), ("Allow", "GET, HEAD")];
    let answer = written(&Head { extra: &extra, ..head(405) }, "", false);
    assert!(answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{answer}");
    assert!(answer.contains("\r\nRetry-After: 2\r\nAllow: GET, HEAD\r\n"), "{answer}");
}

#[test]
fn an_answer_to_head_is_the_answer_to_get_without_its_body() {
    let body = "0123456789";
    let get = written(&head(200), body, false);
    assert_eq!(written(&head(200), body, true), get[..get.len() - body.len()]);
    assert!(get.contains("\r\nContent-Length: 10\r\n"));
}

#[test]
fn a_body_that_is_sent_by_other_means_counts_all_the_same() {
    let mut out = Vec::new();
    respond_head(&mut out, &head(200), 10);
    assert_eq!(String::from_utf8(out).expect("ASCII"), written(&head(200), "0123456789", true));
}

#[test]
fn no_content_and_not_modified_have_neither_body_nor_length() {
    for status in [204, 304] {
        let answer = written(&head(status), "", false);
        assert!(!answer.contains("Content-") && answer.ends_with("\r\n\r\n"), "{answer}");
    }
}

#[test]
fn answers_follow_each_other_in_one_buffer() {
    let mut out = Vec::new();
    respond(&mut out, &head(404), b"a", false);
    respond(&mut out, &head(200), b"b", false);
    assert_eq!(out, (written(&head(404), "a", false) + &written(&head(200), "b", false)).into_bytes());
}

#[test]
fn a_buffer_with_room_is_not_moved() {
    let mut out = Vec::with_capacity(4096);
    let at = out.as_ptr();
    respond(&mut out, &Head { extra: &[("Retry-After", "1")], keep_alive: false, ..head(431) }, &[b'x'; 1000], false);
    assert_eq!(out.as_ptr(), at);
}

#[test]
fn one_reservation_is_enough_for_every_status() {
    for status in 200..600 {
        let body = if matches!(status, 204 | 304) { "" } else { "{}" };
        let head = Head { keep_alive: false, ..head(status) };
        let fixed = written(&head, body, false).len() - head.content_type.len() - body.len();
        assert!(fixed <= FIXED_BYTES, "{status}: {fixed}");
    }
}

#[test]
fn every_status_that_the_parser_or_the_api_gives_has_a_reason() {
    for status in [
        200, 204, 302, 303, 304, 400, 401, 403, 404, 405, 408, 409, 413, 414, 417, 429, 431, 500, 501, 502, 503, 504,
        505,
    ] {
        let body = "";
        let line = written(&head(status), body, false);
        let line = line.lines().next().expect("a line");
        assert!(line.len() > "HTTP/1.1 200 ".len() && line.starts_with(&format!("HTTP/1.1 {status} ")), "{line}");
    }
    assert!(written(&head(299), "", false).starts_with("HTTP/1.1 299 \r\n"));
}

#[test]
fn numbers_are_written_in_full() {
    for number in [0, 1, 9, 10, 99, 100, 16_384, u64::MAX] {
        let mut out = Vec::new();
        decimal(&mut out, number);
        assert_eq!(out, number.to_string().into_bytes());
    }
}

#[test]
#[should_panic(expected = "header Location")]
fn a_value_with_a_line_end_is_never_written() {
    written(&Head { extra: &[("Location", "/a\r\nSet-Cookie: b")], ..head(302) }, "", false);
}

#[test]
#[should_panic(expected = "header name")]
fn a_name_with_a_line_end_is_never_written() {
    written(&Head { extra: &[("A\r\nB", "c")], ..head(200) }, "", false);
}

#[test]
#[should_panic(expected = "has no body")]
fn a_body_that_no_client_would_read_is_never_written() {
    written(&head(204), "{}", false);
}

#[test]
#[should_panic(expected = "no final status")]
fn an_interim_status_is_no_answer() {
    written(&head(100), "", false);
}

#[test]
fn dates_are_what_the_standard_shows() {
    for (unix_s, date) in [
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (1_795_416_000, "Mon, 23 Nov 2026 06:40:00 GMT"),
    ] {
        assert_eq!(str::from_utf8(&Date::at(unix_s).0), Ok(&*format!("Date: {date}\r\n")));
    }
    assert_eq!(&Date::at(u64::MAX).0, b"Date: Fri, 31 Dec 9999 23:59:59 GMT\r\n");
}

#[test]
fn every_day_of_a_year_is_what_another_calendar_shows() {
    for day in 0..366 {
        let unix_s = 1_795_416_000 + day * 86_400;
        let at = jiff::Timestamp::from_second(unix_s).unwrap();
        let wanted = at.strftime("Date: %a, %d %b %Y %H:%M:%S GMT\r\n").to_string();
        assert_eq!(str::from_utf8(&Date::at(unix_s as u64).0), Ok(&*wanted));
    }
}

#[test]
fn another_type_of_body_is_named_as_it_is() {
    let answer = written(&Head { content_type: "text/plain", ..head(200) }, "", false);
    assert!(answer.contains("\r\nContent-Type: text/plain\r\n"), "{answer}");
}
