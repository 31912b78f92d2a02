//! The settings of signing in with GitHub: all that is needed, or nothing.

use std::ffi::OsString;

use url::{Host, Url};

use super::setting::{LookUp, Setting};
use super::{ConfigError, Secret, ServeArgs};

/// The path that GitHub sends browsers back to.
pub const CALLBACK_PATH: &str = "/auth/github/callback";

const TOGETHER: &str = "set together with GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET, or not at all";
const ID_WANTED: &str = "the client id of an OAuth app at GitHub";
const SECRET_WANTED: &str = "the client secret of an OAuth app at GitHub";
const URL_WANTED: &str = "an https URL without a query, such as https://github.com (http is for loopback hosts only)";
const REDIRECT_WANTED: &str = "this server's own URL, such as https://locks.example.com/auth/github/callback";

/// An OAuth app at GitHub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GithubSettings {
    /// The app's client id.
    pub client_id: String,
    /// The app's secret.
    pub client_secret: Secret,
    /// Where `/login/oauth/authorize` and `/login/oauth/access_token` are: a URL.
    pub url: String,
    /// Where `/user` is: a URL.
    pub api_url: String,
    /// Where GitHub sends browsers back to; None: where the app says.
    pub redirect_uri: Option<String>,
}

impl GithubSettings {
    /// What was said of GitHub; None if nothing was.
    ///
    /// # Errors
    /// A part is missing, or makes no sense.
    pub(super) fn new(args: &ServeArgs, look_up: LookUp<'_>) -> Result<Option<GithubSettings>, ConfigError> {
        let client_id = look_up.optional(&args.github_client_id, "--github-client-id", "GITHUB_CLIENT_ID");
        let client_secret = look_up.variable("GITHUB_CLIENT_SECRET");
        let url = look_up.optional(&args.github_url, "--github-url", "GITHUB_URL");
        let api_url = look_up.optional(&args.github_api_url, "--github-api-url", "GITHUB_API_URL");
        let redirect_uri = look_up.optional(&args.github_redirect_uri, "--github-redirect-uri", "GITHUB_REDIRECT_URI");
        let lonely = |said: &Setting, without| {
            let shown = format!("set without {without}");
            Err(ConfigError { name: said.name, shown, wanted: TOGETHER })
        };
        let Some(client_id) = client_id else {
            let other = [&client_secret, &redirect_uri, &url, &api_url].into_iter().flatten().next();
            return other.map_or(Ok(None), |said| lonely(said, "GITHUB_CLIENT_ID"));
        };
        let Some(client_secret) = client_secret else { return lonely(&client_id, "GITHUB_CLIENT_SECRET") };
        let graphic =
            |text: &str| (!text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())).then(|| text.to_owned());
        let hidden = Setting { name: client_secret.name, value: OsString::from("hidden") };
        Ok(Some(GithubSettings {
            client_id: client_id.parsed(ID_WANTED, graphic)?,
            client_secret: Secret::new(
                client_secret.parsed(SECRET_WANTED, graphic).map_err(|_| hidden.refused(SECRET_WANTED))?,
            ),
            url: url_or(url, "https://github.com")?,
            api_url: url_or(api_url, "https://api.github.com")?,
            redirect_uri: redirect_uri.map(|uri| uri.parsed(REDIRECT_WANTED, redirect_uri_in)).transpose()?,
        }))
    }
}

fn url_or(said: Option<Setting>, default: &str) -> Result<String, ConfigError> {
    match said {
        None => Ok(default.to_owned()),
        Some(said) => {
            said.parsed(URL_WANTED, |text| safe_url(text).map(|url| url.as_str().trim_end_matches('/').to_owned()))
        }
    }
}

fn redirect_uri_in(text: &str) -> Option<String> {
    safe_url(text).filter(|url| url.path() == CALLBACK_PATH).map(String::from)
}

/// A URL that secrets may be sent to. What is kept of it is what was parsed, not what was typed: they may differ.
fn safe_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_loopback = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback);
    let is_plain =
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    (is_safe && is_plain).then_some(url)
}
