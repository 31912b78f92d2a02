//! A visitor: what a browser, or a program, does to sign in, step by step.

use std::net::SocketAddr;

use serde_json::Value;

use crate::common::{Connection, Response, Server, User, assert_fields, request};
use crate::github::Github;

/// Somebody with cookies of their own, on a connection.
pub struct Visitor {
    /// The connection.
    pub connection: Connection,
    /// `name=value` of the cookie that the server has set.
    pub cookie: Option<String>,
}

impl Visitor {
    /// One without cookies.
    #[track_caller]
    pub fn new(server: SocketAddr) -> Visitor {
        Visitor { connection: Connection::open(server), cookie: None }
    }

    /// Begins to sign in. Returns where the visitor is sent.
    #[track_caller]
    pub fn begin(&mut self) -> String {
        let answer = self.get("/auth/github", &[]);
        assert_eq!(answer.status, 302, "{}", answer.text());
        let set = answer.header("set-cookie").expect("a cookie");
        self.cookie = Some(set.split(';').next().expect("a pair").to_owned());
        answer.header("location").expect("a place").to_owned()
    }

    /// Comes back, to where GitHub has sent the visitor.
    #[track_caller]
    pub fn come_back(&mut self, url: &str) -> Response {
        self.get(target_in(url), &[("Accept", "application/json")])
    }

    /// GET, with the cookie.
    #[track_caller]
    pub fn get(&mut self, target: &str, headers: &[(&str, &str)]) -> Response {
        let bytes = self.get_bytes(target, headers);
        self.connection.call(&bytes)
    }

    /// The bytes of a GET, with the cookie.
    pub fn get_bytes(&self, target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
        let cookie = self.cookie.iter().map(|cookie| ("Cookie", cookie.as_str()));
        request("GET", target, &headers.iter().copied().chain(cookie).collect::<Vec<_>>(), b"")
    }
}

/// The path and the query of a URL.
pub fn target_in(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap_or_else(|| panic!("no URL: {url}"));
    &rest[rest.find('/').expect("a path")..]
}

/// What `{"token","user_id","github_username"}` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// The user's public id.
    pub user_id: String,
    /// What the user is called at GitHub.
    pub login: Option<String>,
}

impl Issued {
    /// What a 200 says.
    #[track_caller]
    pub fn of(response: &Response) -> Issued {
        let body = response.expect(200);
        assert_fields(&body, &["token", "user_id", "github_username"]);
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let token = text(&body["token"]).expect("a token");
        let is_token = token.len() == 43 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        assert!(is_token, "32 bytes in base64url, not {token}");
        let user_id = text(&body["user_id"]).expect("an id");
        Issued { token, user_id, login: text(&body["github_username"]) }
    }

    /// The user, on a connection.
    #[track_caller]
    pub fn user(&self, server: &Server) -> User {
        User::connect(server.address, &self.token)
    }
}

/// Signs somebody in, all the way.
#[track_caller]
pub fn sign_in(server: &Server, github: &Github) -> Issued {
    github.send_back_to(server.address);
    let mut visitor = Visitor::new(server.address);
    let location = visitor.begin();
    let back = github.allow(&location);
    Issued::of(&visitor.come_back(&back))
}
