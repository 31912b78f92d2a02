//! GitHub as the one who vouches for users: the authorization code flow with PKCE (RFC 6749, RFC 7636).
//!
//! [`Github::authorize`] says where to send a browser; [`Github::user`] takes the code that the browser brings back,
//! trades it for GitHub's token, asks whose that is, and throws it away. The second blocks for up to two calls
//! of [`CALL_TIMEOUT`] each, so it runs on a thread that may wait: see `registrar.rs`.
//!
//! What comes from GitHub is not trusted further than it must be: no redirect is followed, an answer is read up to a
//! bound, and an error that comes with status 200, as GitHub sends them, is one.

use std::error::Error;

use oauth2::basic::{BasicClient, BasicErrorResponseType};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, TokenResponse, TokenUrl,
};
use serde::Deserialize;
use ureq::http;

use crate::clock::Duration;
use crate::config::GithubSettings;

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const MAX_ANSWER_BYTES: u64 = 64 << 10;
/// The longest login that is kept; GitHub's have at most 39.
const MAX_LOGIN_BYTES: usize = 64;

type Client = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// GitHub, or what stands in for it.
#[derive(Debug)]
pub struct Github {
    client: Client,
    user_url: String,
    agent: ureq::Agent,
}

/// Whom GitHub vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GithubUser {
    /// The account's number, which never changes.
    pub id: u64,
    /// What the user is called just now.
    pub login: String,
}

/// Why GitHub vouches for nobody. The texts are for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GithubError {
    /// The code is none, or was used before, or is too old.
    Refused(&'static str),
    /// GitHub, or the way to it, fails.
    Failed(&'static str),
}

const BAD_CODE: GithubError =
    GithubError::Refused("GitHub does not accept the code: it was used before, or is too old; sign in again");
const UNVERIFIED: GithubError =
    GithubError::Refused("GitHub has not verified your e-mail address yet; do that there, and sign in again");
const NO_ANSWER: GithubError = GithubError::Failed("GitHub cannot be reached, or takes too long; try again later");
const ODD_ANSWER: GithubError = GithubError::Failed("GitHub's answer makes no sense; try again later");
const NOT_OURS: GithubError = GithubError::Failed(
    "GitHub does not know this server's client id and secret, or its redirect URI; its operator must correct them",
);

#[derive(Deserialize)]
struct UserBody {
    id: u64,
    login: String,
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(rename = "error")]
    _error: String,
}

impl Github {
    /// GitHub under its URLs, with this server's credentials there. The settings have been checked.
    pub fn new(settings: &GithubSettings) -> Github {
        let base = settings.url.trim_end_matches('/');
        let url = |path: &str| format!("{base}{path}");
        let client = BasicClient::new(ClientId::new(settings.client_id.clone()))
            .set_client_secret(ClientSecret::new(settings.client_secret.reveal().to_owned()))
            .set_auth_uri(AuthUrl::new(url("/login/oauth/authorize")).expect("a checked URL"))
            .set_token_uri(TokenUrl::new(url("/login/oauth/access_token")).expect("a checked URL"))
            .set_auth_type(AuthType::RequestBody);
        let client = match &settings.redirect_uri {
            Some(uri) => client.set_redirect_uri(RedirectUrl::new(uri.clone()).expect("a checked URL")),
            None => client,
        };
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(CALL_TIMEOUT))
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent(concat!("octostore/", env!("CARGO_PKG_VERSION")))
            .build();
        let user_url = format!("{}/user", settings.api_url.trim_end_matches('/'));
        Github { client, user_url, agent: agent.into() }
    }

    /// Where to send a browser, and the PKCE verifier to keep until it comes back. `state` comes back with it.
    pub fn authorize(&self, state: String) -> (String, String) {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, _) = self.client.authorize_url(move || CsrfToken::new(state)).set_pkce_challenge(challenge).url();
        (url.into(), verifier.into_secret())
    }

    /// Whom the code stands for. Blocks.
    ///
    /// # Errors
    /// The code is refused, or GitHub fails.
    pub fn user(&self, code: String, verifier: String) -> Result<GithubUser, GithubError> {
        let exchange = self.client.exchange_code(AuthorizationCode::new(code));
        let call = |request: HttpRequest| self.call(request).map(error_by_status);
        let answer = exchange.set_pkce_verifier(PkceCodeVerifier::new(verifier)).request(&call);
        let token = answer.map_err(|error| match error {
            RequestTokenError::ServerResponse(answer) => refused_because(answer.error()),
            RequestTokenError::Request(error) => unreachable_because(&error),
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => odd("an answer to a code that is none"),
        })?;
        self.whose(token.access_token().secret())
    }

    fn whose(&self, access_token: &str) -> Result<GithubUser, GithubError> {
        let request = http::Request::get(&self.user_url)
            .header("Authorization", format!("Bearer {access_token}"))
            .header("Accept", "application/vnd.github+json")
            .body(Vec::new())
            .map_err(|_| ODD_ANSWER)?; // a token that fits in no header
        let answer = self.call(request).map_err(|error| unreachable_because(&error))?;
        match answer.status().as_u16() {
            200 => {}
            status @ (429 | 500..) => {
                tracing::warn!("GitHub answers {status} to the question after a user");
                return Err(NO_ANSWER);
            }
            status => return Err(odd(&format!("status {status} to the question after a user"))),
        }
        let user = serde_json::from_slice(answer.body());
        let UserBody { id, login } = user.map_err(|_| odd("an answer that is no user"))?;
        let is_login = (1..=MAX_LOGIN_BYTES).contains(&login.len())
            && login.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'[' | b']'));
        if is_login { Ok(GithubUser { id, login }) } else { Err(odd("a login that cannot be")) }
    }

    fn call(&self, request: HttpRequest) -> Result<HttpResponse, ureq::Error> {
        let (head, mut body) = self.agent.run(request)?.into_parts();
        let bytes = body.with_config().limit(MAX_ANSWER_BYTES).read_to_vec()?;
        Ok(http::Response::from_parts(head, bytes))
    }
}

/// GitHub says 200 to a code that it does not accept; an error in the body is what counts.
fn error_by_status(mut answer: HttpResponse) -> HttpResponse {
    if answer.status() == 200 && serde_json::from_slice::<ErrorBody>(answer.body()).is_ok() {
        *answer.status_mut() = http::StatusCode::BAD_REQUEST;
    }
    answer
}

/// What is said of an error of the protocol (RFC 6749, 5.2, and GitHub's own). The log has it by name.
fn refused_because(error: &BasicErrorResponseType) -> GithubError {
    let BasicErrorResponseType::Extension(code) = error else {
        tracing::warn!("GitHub refuses a code: {error}");
        return if *error == BasicErrorResponseType::InvalidGrant { BAD_CODE } else { NOT_OURS };
    };
    tracing::warn!("GitHub refuses a code: {}", code.escape_debug());
    match code.as_str() {
        "bad_verification_code" => BAD_CODE,
        "incorrect_client_credentials" | "redirect_uri_mismatch" => NOT_OURS,
        "unverified_user_email" => UNVERIFIED,
        _ => ODD_ANSWER,
    }
}

fn odd(what: &str) -> GithubError {
    tracing::warn!("GitHub makes no sense: {what}");
    ODD_ANSWER
}

fn unreachable_because(error: &ureq::Error) -> GithubError {
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(deeper) = source {
        why = format!("{why}: {deeper}");
        source = deeper.source();
    }
    tracing::warn!("a call to GitHub has failed: {why}");
    match error {
        ureq::Error::BodyExceedsLimit(_) | ureq::Error::Http(_) | ureq::Error::Protocol(_) => ODD_ANSWER,
        _ => NO_ANSWER,
    }
}
