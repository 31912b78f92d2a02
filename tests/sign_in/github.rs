//! A stand-in for GitHub that speaks its side of the protocol: the page where a user allows or refuses, the exchange of
//! a code for a token, and the user behind a token. It checks what GitHub checks, and it can be told to fail.
//!
//! What a browser brings it must be right (client, PKCE challenge); a code counts once, for the client and the verifier
//! that it was made for; and a wrong code is answered, as GitHub does it, with status 200 and an error in the body.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use crate::common::plain_http::{Plain, exchange, header_in, read_message};
use crate::common::{Driver, Options};

/// The client that it knows.
pub const CLIENT_ID: &str = "Iv1.0123456789abcdef";
/// The client's secret.
pub const CLIENT_SECRET: &str = "s3cr3t-of-the-oauth-app-0123456789";

/// What can go wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Status 500, with a page.
    ServerError,
    /// The connection ends without an answer.
    HangUp,
    /// No answer, for as long as the caller waits.
    Silence,
    /// The head comes at once, the body never.
    SilenceInTheBody,
    /// Far more than anybody would want to read.
    Oversized,
    /// Status 200, and a body that is no JSON.
    Malformed,
    /// JSON in which what counts is missing.
    Incomplete,
    /// Another place to ask: one that would give a good answer.
    Redirect,
    /// Status 200, and an error in the body.
    ErrorWith200,
    /// Bytes that are no HTTP.
    NoHttp,
}

/// Which of the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The exchange of a code.
    Token,
    /// The user behind a token.
    User,
}

/// A user of it.
#[derive(Clone, Debug)]
pub struct Account {
    /// The number.
    pub id: u64,
    /// The name of the day.
    pub login: String,
}

/// The stand-in. It runs until the test ends.
#[derive(Clone)]
pub struct Github {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    user: Account,
    fault: Option<(Endpoint, Fault)>,
    /// Where the app says that browsers go back to.
    callback: String,
    codes: HashMap<String, Grant>,
    tokens: HashMap<String, Account>,
    count: u64,
    /// All that nobody may learn from a log: codes, tokens, states, verifiers.
    secrets: Vec<String>,
    /// The paths asked for, in order.
    asked: Vec<String>,
}

struct Grant {
    challenge: String,
    redirect_uri: Option<String>,
    user: Account,
}

impl Github {
    /// Starts one that knows the user 4242, called octocat.
    pub fn start() -> Github {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let state = State {
            user: Account { id: 4242, login: "octocat".into() },
            fault: None,
            callback: String::new(),
            codes: HashMap::new(),
            tokens: HashMap::new(),
            count: 0,
            secrets: Vec::new(),
            asked: Vec::new(),
        };
        let github = Github { address, state: Arc::new(Mutex::new(state)) };
        let server = github.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = server.clone();
                std::thread::spawn(move || server.serve(stream));
            }
        });
        github
    }

    /// Options for a server with this stand-in for GitHub, and no other users.
    pub fn options(&self, driver: Driver) -> Options {
        let url = self.url();
        Options::new(driver)
            .users(&[])
            .env("GITHUB_CLIENT_ID", CLIENT_ID)
            .env("GITHUB_CLIENT_SECRET", CLIENT_SECRET)
            .env("GITHUB_URL", &url)
            .env("GITHUB_API_URL", &format!("{url}/api/v3"))
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Notes in the app's settings where `server` is.
    pub fn send_back_to(&self, server: SocketAddr) {
        self.state().callback = format!("http://{server}/auth/github/callback");
    }

    /// Who is at the browser from now on.
    pub fn sign_in_as(&self, id: u64, login: &str) {
        self.state().user = Account { id, login: login.into() };
    }

    /// What fails from now on.
    pub fn fail(&self, fault: impl Into<Option<(Endpoint, Fault)>>) {
        self.state().fault = fault.into();
    }

    /// What of the calls was asked so far, by path.
    pub fn asked(&self, path: &str) -> usize {
        self.state().asked.iter().filter(|asked| *asked == path).count()
    }

    /// All that it has given out or been sent and that must be in no log.
    pub fn secrets(&self) -> Vec<String> {
        self.state().secrets.clone()
    }

    /// What a browser does that is sent to `location` and whose user clicks on "Authorize": where it is sent back to.
    #[track_caller]
    pub fn allow(&self, location: &str) -> String {
        let query = location.strip_prefix(&format!("{}/login/oauth/authorize?", self.url()));
        let query = query.unwrap_or_else(|| panic!("sent elsewhere: {location}"));
        let page = exchange(self.address, "GET", &format!("/login/oauth/authorize?{query}"), None);
        assert_eq!(page.status, 200, "{}", String::from_utf8_lossy(&page.body));
        let answer: Plain = exchange(self.address, "GET", &format!("/login/oauth/allow?{query}"), None);
        assert_eq!(answer.status, 302, "{answer:?}");
        answer.header("Location").expect("a place").to_owned()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the stand-in's state")
    }

    fn serve(&self, mut stream: TcpStream) {
        let Some((head, body)) = read_message(&mut stream) else { return };
        let line = head.lines().next().unwrap_or_default().to_owned();
        let (method, target) = line.split_once(' ').expect("a request line");
        let target = target.rsplit_once(' ').expect("a version").0;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        self.state().asked.push(path.to_owned());
        let endpoint = match path {
            "/login/oauth/access_token" => Some(Endpoint::Token),
            "/api/v3/user" => Some(Endpoint::User),
            _ => None,
        };
        let fault = self.state().fault.filter(|(place, _)| Some(*place) == endpoint).map(|(_, fault)| fault);
        let answer = match fault {
            Some(fault) => spoilt(fault, path, &mut stream),
            None => Some(match (method, path) {
                ("GET", "/login/oauth/authorize") => self.authorize(query),
                ("GET", "/login/oauth/allow") => self.decide(query, true),
                ("GET", "/login/oauth/refuse") => self.decide(query, false),
                ("POST", "/login/oauth/access_token" | "/elsewhere/login/oauth/access_token") => {
                    self.access_token(&head, &body)
                }
                ("GET", "/api/v3/user" | "/elsewhere/api/v3/user") => self.user(&head),
                _ => page(404, "Not found"),
            }),
        };
        if let Some(answer) = answer {
            let _ = stream.write_all(&answer);
        }
    }

    /// The page on which the user decides.
    fn authorize(&self, query: &str) -> Vec<u8> {
        let asked = pairs(query.as_bytes());
        let is = |name, wanted| asked.get(name).map(String::as_str) == Some(wanted);
        let challenge = asked.get("code_challenge").map_or("", String::as_str);
        if !is("client_id", CLIENT_ID)
            || !is("response_type", "code")
            || !is("code_challenge_method", "S256")
            || challenge.len() != 43
            || asked.get("state").is_none_or(|state| state.len() < 22)
        {
            return page(400, "The app has sent you here in a wrong way.");
        }
        let query = query.replace('&', "&amp;");
        page(
            200,
            &format!(
                "<p>An app wants to know who you are.</p>\
                 <p><a id=allow href='/login/oauth/allow?{query}'>Authorize</a>\
                 <p><a id=refuse href='/login/oauth/refuse?{query}'>Cancel</a>"
            ),
        )
    }

    /// Sends the browser back.
    fn decide(&self, query: &str, allowed: bool) -> Vec<u8> {
        let mut asked = pairs(query.as_bytes());
        let mut state = self.state();
        let back = asked.get("redirect_uri").unwrap_or(&state.callback).clone();
        let mut answer = form_urlencoded::Serializer::new(String::new());
        let its = asked.remove("state").expect("a state");
        state.secrets.push(its.clone());
        if allowed {
            state.count += 1;
            let code = format!("code-{:020}", state.count);
            let grant = Grant {
                challenge: asked.remove("code_challenge").expect("a challenge"),
                redirect_uri: asked.remove("redirect_uri"),
                user: state.user.clone(),
            };
            state.codes.insert(code.clone(), grant);
            state.secrets.push(code.clone());
            answer.append_pair("code", &code);
        } else {
            answer.append_pair("error", "access_denied").append_pair("error_description", "The user has denied it.");
        }
        let location = format!("{back}?{}", answer.append_pair("state", &its).finish());
        http(302, "text/html", &[("Location", &location)], b"")
    }

    fn access_token(&self, head: &str, body: &[u8]) -> Vec<u8> {
        let asked = pairs(body);
        let of = |name| asked.get(name).map_or("", String::as_str);
        let refused = |code: &str| json_answer(200, &json!({ "error": code, "error_description": "No." }));
        // Without this header GitHub answers with a form.
        if !header_in(head, "Accept").is_some_and(|kind| kind.contains("application/json")) {
            return http(200, "application/x-www-form-urlencoded", &[], b"error=not_acceptable");
        }
        if (of("client_id"), of("client_secret")) != (CLIENT_ID, CLIENT_SECRET) {
            return refused("incorrect_client_credentials");
        }
        let mut state = self.state();
        state.secrets.push(of("code_verifier").to_owned());
        let Some(grant) = state.codes.remove(of("code")) else { return refused("bad_verification_code") };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(of("code_verifier")));
        if of("grant_type") != "authorization_code" || challenge != grant.challenge {
            return refused("bad_verification_code");
        }
        if grant.redirect_uri.as_deref().is_some_and(|uri| uri != of("redirect_uri")) {
            return refused("redirect_uri_mismatch");
        }
        state.count += 1;
        let token = format!("gho_{:036}", state.count);
        state.tokens.insert(token.clone(), grant.user);
        state.secrets.push(token.clone());
        json_answer(200, &json!({ "access_token": token, "token_type": "bearer", "scope": "" }))
    }

    fn user(&self, head: &str) -> Vec<u8> {
        // GitHub refuses a caller that does not say what it is.
        if header_in(head, "User-Agent").is_none() {
            return json_answer(403, &json!({ "message": "Request forbidden by administrative rules." }));
        }
        let presented = header_in(head, "Authorization").unwrap_or_default();
        let token = presented.strip_prefix("Bearer ").unwrap_or_default();
        match self.state().tokens.get(token) {
            Some(Account { id, login }) => json_answer(
                200,
                &json!({ "login": login, "id": id, "type": "User", "site_admin": false, "name": null }),
            ),
            None => json_answer(401, &json!({ "message": "Bad credentials" })),
        }
    }
}

/// A wrong answer, if there is one at all.
fn spoilt(fault: Fault, path: &str, stream: &mut TcpStream) -> Option<Vec<u8>> {
    // Until the caller has had enough.
    let outwait = |stream: &mut TcpStream| while stream.read(&mut [0; 1024]).is_ok_and(|n| n > 0) {};
    match fault {
        Fault::ServerError => Some(page(500, "Unicorn!")),
        Fault::HangUp => None,
        Fault::Silence => {
            outwait(stream);
            None
        }
        Fault::SilenceInTheBody => {
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{");
            outwait(stream);
            None
        }
        Fault::Oversized => {
            let filler = "x".repeat(4 << 20);
            let good =
                json!({ "id": 1, "login": "mallory", "access_token": "a", "token_type": "bearer", "filler": filler });
            Some(json_answer(200, &good))
        }
        Fault::Malformed => Some(http(200, "application/json", &[], b"{\"access_token\": \"gho_1\", \"id\": 1, ")),
        Fault::Incomplete => Some(json_answer(200, &json!({ "token_type": "bearer", "login": "octocat" }))),
        Fault::Redirect => Some(http(307, "text/html", &[("Location", &format!("/elsewhere{path}"))], b"")),
        Fault::ErrorWith200 => Some(json_answer(200, &json!({ "error": "bad_verification_code", "error_uri": "x" }))),
        Fault::NoHttp => Some(b"220 mail.example ESMTP\r\n\r\n".to_vec()),
    }
}

fn pairs(text: &[u8]) -> HashMap<String, String> {
    form_urlencoded::parse(text).into_owned().collect()
}

fn json_answer(status: u16, body: &Value) -> Vec<u8> {
    http(status, "application/json; charset=utf-8", &[], body.to_string().as_bytes())
}

fn page(status: u16, text: &str) -> Vec<u8> {
    let html = format!("<!doctype html><title>Not really GitHub</title><link rel=icon href='data:,'>{text}");
    http(status, "text/html; charset=utf-8", &[], html.as_bytes())
}

fn http(status: u16, kind: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut answer =
        format!("HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n");
    for (name, value) in headers {
        answer += &format!("{name}: {value}\r\n");
    }
    [answer.as_bytes(), b"\r\n", body].concat()
}
