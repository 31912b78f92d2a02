//! Who may read the figures.

use crate::common::{Driver, Options, Response, Server, request};

crate::both_drivers! {
    by_default_this_machine_reads_the_figures_and_nobody_else,
    a_token_of_its_own_lets_others_in,
    whoever_a_known_proxy_speaks_for_is_not_on_this_machine,
    the_token_can_be_wanted_always,
    metrics_can_be_off,
}

const TOKEN: &str = "the-token-for-the-metrics";

/// A request that a proxy on this machine says is another's.
fn from_elsewhere(server: &Server, token: Option<&str>) -> Response {
    let bearer = format!("Bearer {}", token.unwrap_or_default());
    let mut headers = vec![("X-Forwarded-For", "192.0.2.7")];
    headers.extend(token.map(|_| ("Authorization", bearer.as_str())));
    server.connect().call(&request("GET", "/metrics", &headers, b""))
}

fn from_here(server: &Server, token: Option<&str>) -> Response {
    let bearer = format!("Bearer {}", token.unwrap_or_default());
    let headers: Vec<(&str, &str)> = token.map(|_| ("Authorization", bearer.as_str())).into_iter().collect();
    server.connect().call(&request("GET", "/metrics", &headers, b""))
}

fn by_default_this_machine_reads_the_figures_and_nobody_else(driver: Driver) {
    let server = Server::on(driver);
    assert_eq!(from_here(&server, None).status, 200);
    from_elsewhere(&server, None).refused(403, "forbidden");
    from_elsewhere(&server, Some(&crate::common::token_of("alice"))).refused(403, "forbidden");
}

fn a_token_of_its_own_lets_others_in(driver: Driver) {
    let server = Server::start(Options::new(driver).env("OCTOSTORE_METRICS_TOKEN", TOKEN));
    assert_eq!(from_here(&server, None).status, 200);
    assert_eq!(from_elsewhere(&server, Some(TOKEN)).status, 200);
    from_elsewhere(&server, None).refused(401, "authentication_required");
    from_elsewhere(&server, Some(&crate::common::token_of("alice"))).refused(401, "authentication_failed");
    let bearer = format!("Bearer {TOKEN}");
    let locks = server.connect().call(&request("GET", "/locks", &[("Authorization", &bearer)], b""));
    locks.refused(401, "authentication_failed");
}

fn whoever_a_known_proxy_speaks_for_is_not_on_this_machine(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&["--trusted-proxy", "127.0.0.1"]));
    from_here(&server, None).refused(403, "forbidden"); // though it says nothing of whom it speaks for
    for (name, value) in
        [("X-Forwarded-For", "nonsense"), ("X-Forwarded-For", "127.0.0.1"), ("Forwarded", "for=1.2.3.4")]
    {
        let response = server.connect().call(&request("GET", "/metrics", &[(name, value)], b""));
        response.refused(403, "forbidden");
    }
}

fn the_token_can_be_wanted_always(driver: Driver) {
    let options = Options::new(driver);
    let file = options.home.file("metrics-token");
    std::fs::write(&file, format!("{TOKEN}\n")).expect("a file");
    std::process::Command::new("chmod").arg("600").arg(&file).status().expect("chmod");
    let file = file.to_str().expect("a path").to_owned();
    let server = Server::start(options.args(&["--metrics-access", "token", "--metrics-token-file", &file]));
    assert_eq!(from_here(&server, Some(TOKEN)).status, 200);
    let refused = from_here(&server, None);
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    refused.refused(401, "authentication_required");
    from_here(&server, Some("another-token-altogether")).refused(401, "authentication_failed");
}

fn metrics_can_be_off(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&["--metrics-access", "off"]));
    from_here(&server, None).refused(404, "not_found");
}

#[test]
fn a_token_that_is_wanted_but_missing_or_open_to_others_stops_the_start() {
    let missing = Options::new(Driver::Epoll).args(&["--metrics-access", "token"]);
    let failed = Server::try_start(missing).unwrap_err();
    assert!(failed.error().contains("--metrics-token-file"), "{}", failed.error());

    let options = Options::new(Driver::Epoll);
    let file = options.home.file("metrics-token");
    std::fs::write(&file, TOKEN).expect("a file");
    std::process::Command::new("chmod").arg("644").arg(&file).status().expect("chmod");
    let file = file.to_str().expect("a path").to_owned();
    let failed = Server::try_start(options.args(&["--metrics-token-file", &file])).unwrap_err();
    assert!(failed.error().contains("open to other users") && !failed.error().contains(TOKEN), "{}", failed.error());
}
