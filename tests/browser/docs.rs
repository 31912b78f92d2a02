//! The interactive docs: a person pastes a token, and takes a lock through its life.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use serde_json::{Value, json};

use crate::common::plain_http::read_message;
use crate::common::{Browser, Driver, Server, eventually, token_of};

#[test]
fn a_lock_is_acquired_held_renewed_and_released_from_the_page_on_a_wide_screen() {
    through_its_life("wide", 1280, 1000, false);
}

#[test]
fn a_lock_is_acquired_held_renewed_and_released_from_the_page_on_a_narrow_dark_screen() {
    through_its_life("narrow", 390, 844, true);
}

#[test]
fn without_a_token_the_page_shows_what_the_server_says() {
    let server = Server::on(Driver::Auto);
    let browser = open(&server, 1280, 1000, false);
    let answer = execute(&browser, "listLocks", 401);
    assert_eq!(answer["code"], "authentication_required");
    // The one complaint that belongs on the console: a request was refused.
    let refused = browser.complaints();
    assert!(refused.len() == 1 && refused[0].contains("401"), "{refused:?}");
    browser.assert_kept_to(server.address);
}

#[test]
fn under_a_path_of_a_proxy_the_page_asks_under_that_path() {
    let server = Server::on(Driver::Auto);
    let proxy = proxy_under("/octo", server.address);
    let browser = Browser::start();
    browser.open(&format!("http://{proxy}/octo/docs"));
    browser.text(&block("listLocks"));
    let answer = execute(&browser, "listLocks", 401);
    assert_eq!(answer["code"], "authentication_required");
    let asked = browser.requested();
    assert!(asked.iter().any(|url| url.starts_with(&format!("http://{proxy}/octo/locks"))), "{asked:#?}");
}

/// A proxy that shows a server under a path, and has 404 for all else. It lives as long as the test.
fn proxy_under(path: &'static str, server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            // A browser that hangs up early is its own business.
            std::thread::spawn(move || pass_on(client, path, server).ok());
        }
    });
    address
}

/// One GET, and its answer until the end of the connection.
fn pass_on(mut client: TcpStream, path: &str, server: SocketAddr) -> io::Result<()> {
    let Some((head, _)) = read_message(&mut client) else { return Ok(()) };
    let Some(rest) = head.strip_prefix(&format!("GET {path}/")) else {
        return client.write_all(b"HTTP/1.1 404 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let kept = rest.lines().filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with("connection:"));
    let lines: Vec<&str> = kept.collect();
    let mut upstream = TcpStream::connect(server)?;
    upstream.write_all(format!("GET /{}\r\nConnection: close\r\n\r\n", lines.join("\r\n")).as_bytes())?;
    io::copy(&mut upstream, &mut client).map(drop)
}

fn through_its_life(screen: &str, width: u32, height: u32, dark: bool) {
    let server = Server::on(Driver::Auto);
    let browser = open(&server, width, height, dark);
    browser.assert_fits();
    browser.picture(&format!("docs-{screen}"));

    browser.click(".btn.authorize");
    browser.fill(".auth-container input", &token_of("alice"));
    browser.picture(&format!("docs-{screen}-token"));
    browser.click(".auth-btn-wrapper .authorize");
    browser.click(".auth-btn-wrapper .btn-done");

    expand(&browser, "acquireLock");
    browser.fill(&format!("{} tr[data-param-name=name] input", block("acquireLock")), "from-the-page");
    let acquired = execute(&browser, "acquireLock", 200);
    browser.run("document.querySelector('.live-responses-table').scrollIntoView()");
    browser.picture(&format!("docs-{screen}-acquired"));
    browser.assert_fits();
    assert_eq!((&acquired["status"], &acquired["ttl_seconds"]), (&json!("acquired"), &json!(300)), "{acquired}");
    assert!(server.user("bob").sees_held("from-the-page"));

    let held = execute(&browser, "acquireLock", 409);
    assert_eq!(held["status"], "held", "{held}");
    let refused = browser.complaints();
    assert!(refused.len() == 1 && refused[0].contains("409"), "{refused:?}");

    let lease = json!({ "lease_id": acquired["lease_id"] }).to_string();
    for (operation, status) in [("renewLock", "renewed"), ("releaseLock", "released")] {
        expand(&browser, operation);
        browser.fill(&format!("{} tr[data-param-name=name] input", block(operation)), "from-the-page");
        browser.fill(&format!("{} textarea.body-param__text", block(operation)), &lease);
        let answer = execute(&browser, operation, 200);
        assert_eq!((&answer["status"], &answer["lease_id"]), (&json!(status), &acquired["lease_id"]), "{answer}");
    }
    assert!(!server.user("bob").sees_held("from-the-page"));
    browser.assert_kept_to(server.address);
}

fn open(server: &Server, width: u32, height: u32, dark: bool) -> Browser {
    let browser = Browser::start();
    browser.resize(width, height);
    browser.prefer_dark(dark);
    browser.open(&format!("http://{}/docs", server.address));
    // Waits for it.
    browser.text(&block("acquireLock"));
    browser
}

/// Where the page shows an operation.
fn block(operation: &str) -> String {
    format!("#operations-Locks-{operation}")
}

fn expand(browser: &Browser, operation: &str) {
    if !browser.has(&format!("{} .execute", block(operation))) {
        browser.click(&format!("{} .opblock-summary-control", block(operation)));
        browser.text(&format!("{} .execute", block(operation)));
    }
}

/// Sends the request that the page has been filled with; the answer as the page shows it.
#[track_caller]
fn execute(browser: &Browser, operation: &str, status: u16) -> Value {
    expand(browser, operation);
    let block = block(operation);
    browser.click(&format!("{block} .execute"));
    let row = format!("{block} .live-responses-table tr.response");
    let (column, status) = (format!("{row} .response-col_status"), status.to_string());
    eventually(format!("{operation} is answered {status}"), || browser.text(&column).contains(&status));
    let shown = browser.text(&format!("{row} .response-col_description .highlight-code code"));
    serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"))
}
