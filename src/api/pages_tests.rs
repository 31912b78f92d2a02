use super::*;
use crate::http::{self, Step};

/// The answer to a GET of `path` with these header lines.
fn get(path: &str, lines: &str) -> Answer {
    let page = ALL.iter().find(|page| page.path == path).expect("a page");
    let mut bytes = format!("GET {path} HTTP/1.1\r\nHost: h\r\n{lines}\r\n").into_bytes();
    let Ok(Step::Complete { request, .. }) = http::parse(&mut bytes) else { panic!("no request: {lines}") };
    answer(page, request.fields)
}

fn header(answer: &Answer, name: &str) -> Option<String> {
    let more = answer.more.as_ref().expect("a page has more to it");
    more.headers.iter().find(|header| header.0 == name).map(|header| header.1.to_string())
}

#[test]
fn gzip_is_sent_to_those_who_take_it() {
    for takes in ["gzip", "deflate, GZIP;q=0.5", "br, *", "*;q=0.1", "gzip;q=0.001", "identity;q=0, gzip ; q=1"] {
        let answer = get("/docs", &format!("Accept-Encoding: {takes}\r\n"));
        assert_eq!(header(&answer, "Content-Encoding").as_deref(), Some("gzip"), "{takes}");
        let file = answer.more.and_then(|more| more.file).expect("a file");
        assert_eq!(file[..2], [0x1f, 0x8b], "{takes}");
    }
    for does_not in ["", "identity", "br", "gzip;q=0", "gzip; q=0.000, *", "*;q=0", "x-gzip"] {
        let answer = get("/docs", &format!("Accept-Encoding: {does_not}\r\n"));
        assert_eq!(header(&answer, "Content-Encoding"), None, "{does_not}");
        assert!(answer.more.and_then(|more| more.file).expect("a file").starts_with(b"<!doctype html>"));
    }
    assert_eq!(header(&get("/docs", ""), "Content-Encoding"), None);
}

#[test]
fn who_has_a_page_is_told_so() {
    for coding in ["", "Accept-Encoding: gzip\r\n"] {
        let tag = header(&get("/", coding), "ETag").expect("a tag");
        for has in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let same = get("/", &format!("{coding}If-None-Match: {has}\r\n"));
            assert_eq!((same.status, header(&same, "ETag")), (304, Some(tag.clone())), "{has}");
            assert_eq!(same.more.and_then(|more| more.file), None);
        }
        for has_not in ["\"x\"", tag.trim_matches('"'), ""] {
            assert_eq!(get("/", &format!("{coding}If-None-Match: {has_not}\r\n")).status, 200, "{has_not}");
        }
    }
}

#[test]
fn what_is_sent_by_gzip_has_a_tag_of_its_own() {
    let tag = |lines| header(&get("/style.css", lines), "ETag").expect("a tag");
    assert_ne!(tag(""), tag("Accept-Encoding: gzip\r\n"));
}

#[test]
fn a_page_names_nothing_but_what_is_served_here() {
    for page in ALL.iter().filter(|page| page.content_type.starts_with("text/html")) {
        let text = str::from_utf8(page.plain).expect("UTF-8");
        assert!(!text.contains("{{") && !text.contains("style=") && !text.contains("<style"), "{}", page.path);
        for (_, rest) in text
            .match_indices("src=\"")
            .chain(text.match_indices("href=\""))
            .map(|(at, _)| text[at..].split_once('"').expect("a quote"))
        {
            let target = format!("/{}", rest.split('"').next().expect("a quote").trim_start_matches("./"));
            let is_served = target == "/metrics" || crate::api::route::find(crate::http::Method::Get, &target).is_ok();
            assert!(is_served, "{} leads to {target}", page.path);
        }
    }
}
