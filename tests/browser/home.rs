//! The page at `/`.

use crate::common::{Browser, Driver, Server};

/// The sizes of the screens.
const SCREENS: [(&str, u32, u32); 2] = [("wide", 1280, 900), ("narrow", 390, 844)];

#[test]
fn the_first_page_says_what_this_is_and_leads_on() {
    let server = Server::on(Driver::Auto);
    let browser = Browser::start();
    for (screen, width, height) in SCREENS {
        for dark in [false, true] {
            browser.resize(width, height);
            browser.prefer_dark(dark);
            browser.open(&format!("http://{}/", server.address));
            assert_eq!(browser.text("h1"), "OctoStore");
            assert_eq!(browser.text(".version"), env!("CARGO_PKG_VERSION"));
            let commands = browser.text("main");
            let command = format!("http://{}/locks/my-first-lock/acquire", server.address);
            assert!(commands.contains(&command), "{command}: {commands}");
            let is_dark = browser.run("return matchMedia('(prefers-color-scheme: dark)').matches");
            assert_eq!(is_dark, dark);
            browser.assert_fits();
            browser.picture(&format!("home-{screen}-{}", if dark { "dark" } else { "light" }));
            for (link, path) in
                [("Interactive docs", "/docs"), ("openapi.json", "/openapi.json"), ("Health", "/health")]
            {
                let found = browser.run(&format!(
                    "return [...document.querySelectorAll('a')].find(a => a.innerText.startsWith('{link}')).href"
                ));
                assert_eq!(found, format!("http://{}{path}", server.address));
            }
            browser.click(".cards a");
            assert_eq!(browser.url(), format!("http://{}/docs", server.address));
            browser.text("#operations-Locks-acquireLock");
            browser.assert_kept_to(server.address);
        }
    }
}
