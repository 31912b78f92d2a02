//! Signing in with GitHub, as a browser sees it: sent away with a `state`, and back with it and a code.
//!
//! A sign-in that was begun is kept here until its browser comes back: by the hash of its `state`, with the PKCE
//! verifier and the hash of the cookie that the browser was given. A state counts once, for ten minutes, and only
//! from the browser that has the cookie; so nobody can have a victim's browser finish a sign-in that they began, and
//! end up in their account. The cookie is a browser's, not a sign-in's: whoever clicks twice can finish either.
//!
//! Any core may get the browser back, so this is behind a mutex: it is locked once a sign-in, never for a lock's
//! request. At most [`MAX_BEGUN`] are kept; one more drops the oldest, and an
//! address has so few steps a minute (`failures.rs`) that it takes several to make other people click again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use subtle::ConstantTimeEq;

use super::github::{Github, GithubError, GithubUser};
use super::{AuthError, MAX_SIGN_IN_STEPS, hash_of, random_token};
use crate::config::GithubSettings;
use crate::journal::TokenHash;

/// Sign-ins that may be under way.
const MAX_BEGUN: usize = 10_000;
/// How long a browser may take to come back.
const STATE_LIVES_S: u64 = 600;
// One address alone can push out nobody's.
const _: () = assert!(MAX_SIGN_IN_STEPS as u64 * STATE_LIVES_S / 60 < MAX_BEGUN as u64);
/// Bytes of a state, of a cookie: 32 random bytes in base64url.
const SECRET_BYTES: usize = 43;
/// The longest code that is passed on.
const MAX_CODE_BYTES: usize = 512;

/// GitHub, and the sign-ins that were begun.
#[derive(Debug)]
pub struct SignIn {
    github: Github,
    is_https: bool,
    begun: Mutex<Begun>,
}

/// Where a browser is sent, and with what.
#[derive(Debug)]
pub struct Departure {
    /// For the Location header.
    pub location: String,
    /// For the Set-Cookie header.
    pub cookie: String,
}

/// What a browser has brought back, good for one exchange.
#[derive(Debug)]
pub struct Arrival {
    code: String,
    verifier: String,
}

/// The sign-ins under way. Pure.
#[derive(Debug, Default)]
struct Begun {
    by_state: HashMap<TokenHash, Waiting>,
    /// Every state that was begun, the oldest first; some are finished.
    order: VecDeque<(u64, TokenHash)>,
}

#[derive(Debug)]
struct Waiting {
    browser: TokenHash,
    verifier: String,
    until_ns: u64,
}

impl SignIn {
    /// No sign-ins yet.
    pub fn new(settings: &GithubSettings) -> SignIn {
        let is_https = settings.redirect_uri.as_ref().is_some_and(|uri| uri.starts_with("https:"));
        SignIn { github: Github::new(settings), is_https, begun: Mutex::default() }
    }

    /// Begins a sign-in of a browser, which may have a cookie of ours already: `cookies` are its Cookie headers.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn begin<'a>(&self, now_ns: u64, cookies: impl Iterator<Item = &'a [u8]>) -> Result<Departure, AuthError> {
        let browser = match self.browser(cookies) {
            Some(browser) => browser,
            None => random_token()?,
        };
        let state = random_token()?;
        let (location, verifier) = self.github.authorize(state.clone());
        let waiting = Waiting {
            browser: hash_of(browser.as_bytes()),
            verifier,
            until_ns: now_ns + STATE_LIVES_S * 1_000_000_000,
        };
        self.lock(|begun| begun.insert(now_ns, hash_of(state.as_bytes()), waiting));
        let secure = if self.is_https { "; Secure" } else { "" };
        let name = self.cookie_name();
        let cookie = format!("{name}={browser}; Path=/; Max-Age={STATE_LIVES_S}; HttpOnly; SameSite=Lax{secure}");
        Ok(Departure { location, cookie })
    }

    /// Takes a browser back that has these values of `code` and `state`.
    ///
    /// # Errors
    /// What is wrong with them, for the user.
    pub fn arrive<'a>(
        &self,
        now_ns: u64,
        code: &str,
        state: &str,
        cookies: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Arrival, &'static str> {
        if code.is_empty() || code.len() > MAX_CODE_BYTES {
            return Err("the code parameter is missing or too long; sign in again");
        }
        let browser = self.browser(cookies);
        let browser =
            browser.ok_or("this browser has not begun a sign-in here, or its cookie is gone; sign in again")?;
        let (state, browser) = (hash_of(state.as_bytes()), hash_of(browser.as_bytes()));
        let verifier = self.lock(|begun| begun.take(now_ns, &state, &browser));
        let verifier = verifier.ok_or(
            "the state is none of this browser's, was used before, or is older than ten minutes; sign in again",
        )?;
        Ok(Arrival { code: code.to_owned(), verifier })
    }

    /// Asks GitHub whom it vouches for. Blocks.
    ///
    /// # Errors
    /// The code is refused, or GitHub fails.
    pub fn user(&self, Arrival { code, verifier }: Arrival) -> Result<GithubUser, GithubError> {
        self.github.user(code, verifier)
    }

    /// With the prefix, a browser takes the cookie from nobody but this host, over https.
    fn cookie_name(&self) -> &'static str {
        if self.is_https { "__Host-octostore-sign-in" } else { "octostore-sign-in" }
    }

    fn browser<'a>(&self, cookies: impl Iterator<Item = &'a [u8]>) -> Option<String> {
        let pairs = cookies.flat_map(|header| header.split(|b| *b == b';')).filter_map(|pair| {
            let (name, value) = str::from_utf8(pair).ok()?.trim().split_once('=')?;
            (name == self.cookie_name()).then_some(value)
        });
        let is_ours = |value: &&str| {
            value.len() == SECRET_BYTES && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        pairs.into_iter().find(is_ours).map(str::to_owned)
    }

    fn lock<T>(&self, work: impl FnOnce(&mut Begun) -> T) -> T {
        // A panic ends the process, so nobody sees a lock that is poisoned.
        work(&mut self.begun.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Begun {
    fn insert(&mut self, now_ns: u64, state: TokenHash, waiting: Waiting) {
        while let Some((until_ns, oldest)) = self.order.front()
            && (*until_ns <= now_ns || self.order.len() >= MAX_BEGUN)
        {
            self.by_state.remove(oldest);
            self.order.pop_front();
        }
        self.order.push_back((waiting.until_ns, state));
        self.by_state.insert(state, waiting);
    }

    /// The verifier of a sign-in that this browser has begun: once.
    fn take(&mut self, now_ns: u64, state: &TokenHash, browser: &TokenHash) -> Option<String> {
        let waiting = self.by_state.get(state)?;
        let is_its = bool::from(waiting.browser.bytes().ct_eq(browser.bytes()));
        if !is_its || waiting.until_ns <= now_ns {
            return None; // somebody else cannot spend it either
        }
        self.by_state.remove(state).map(|waiting| waiting.verifier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn sign_in(redirect_uri: Option<&str>) -> SignIn {
        SignIn::new(&GithubSettings {
            client_id: "id".into(),
            client_secret: Secret::new("secret".into()),
            url: "https://github.com".into(),
            api_url: "https://api.github.com".into(),
            redirect_uri: redirect_uri.map(str::to_owned),
        })
    }

    fn state_in(location: &str) -> &str {
        location.split(['?', '&']).find_map(|pair| pair.strip_prefix("state=")).expect("a state")
    }

    fn pair_in(cookie: &str) -> &str {
        cookie.split_once(';').expect("attributes").0
    }

    fn arrive(sign_in: &SignIn, now_ns: u64, state: &str, cookie: &str) -> bool {
        sign_in.arrive(now_ns, "code", state, [cookie.as_bytes()].into_iter()).is_ok()
    }

    #[test]
    fn a_departure_has_a_challenge_a_state_and_a_cookie_that_scripts_cannot_read() {
        let departure = sign_in(None).begin(0, std::iter::empty()).unwrap();
        let location = departure.location;
        assert!(location.starts_with("https://github.com/login/oauth/authorize?"), "{location}");
        for part in ["code_challenge_method=S256", "code_challenge=", "client_id=id", "response_type=code"] {
            assert!(location.contains(part), "{part} in {location}");
        }
        assert!(!location.contains("secret") && !location.contains("redirect_uri"), "{location}");
        assert!(departure.cookie.starts_with("octostore-sign-in="), "{}", departure.cookie);
        assert!(departure.cookie.ends_with("Max-Age=600; HttpOnly; SameSite=Lax"), "{}", departure.cookie);
        let https = sign_in(Some("https://locks.example/auth/github/callback"));
        let departure = https.begin(0, std::iter::empty()).unwrap();
        assert!(departure.cookie.starts_with("__Host-octostore-sign-in="), "{}", departure.cookie);
        assert!(departure.cookie.ends_with("; Secure"), "{}", departure.cookie);
        assert!(departure.location.contains("redirect_uri=https%3A%2F%2Flocks.example%2Fauth%2Fgithub%2Fcallback"));
    }

    #[test]
    fn a_state_counts_once_in_time_and_from_its_own_browser() {
        let sign_in = sign_in(None);
        let mine = sign_in.begin(0, std::iter::empty()).unwrap();
        let other = sign_in.begin(0, std::iter::empty()).unwrap();
        let (state, cookie) = (state_in(&mine.location), pair_in(&mine.cookie));
        assert!(!arrive(&sign_in, 1, state, pair_in(&other.cookie)), "another browser");
        assert!(!arrive(&sign_in, 1, state, "unrelated=1"), "no cookie");
        assert!(!arrive(&sign_in, 1, "made-up", cookie), "another state");
        assert!(arrive(&sign_in, 1, state, &format!("a=b; {cookie}; c=d")));
        assert!(!arrive(&sign_in, 1, state, cookie), "a second time");
        let late = STATE_LIVES_S * 1_000_000_000;
        assert!(!arrive(&sign_in, late, state_in(&other.location), pair_in(&other.cookie)), "too late");
    }

    #[test]
    fn who_clicks_twice_can_finish_either() {
        let sign_in = sign_in(None);
        let first = sign_in.begin(0, std::iter::empty()).unwrap();
        let cookie = pair_in(&first.cookie).to_owned();
        let second = sign_in.begin(1, [cookie.as_bytes()].into_iter()).unwrap();
        assert_eq!(pair_in(&second.cookie), cookie, "the browser keeps its cookie");
        assert!(arrive(&sign_in, 2, state_in(&second.location), &cookie));
        assert!(arrive(&sign_in, 2, state_in(&first.location), &cookie));
    }

    #[test]
    fn so_many_are_kept_and_no_more() {
        let mut begun = Begun::default();
        let hash = |n: usize| hash_of(&n.to_le_bytes());
        for n in 0..MAX_BEGUN + 5 {
            begun.insert(0, hash(n), Waiting { browser: hash(0), verifier: n.to_string(), until_ns: 1_000 });
        }
        assert_eq!((begun.by_state.len(), begun.order.len()), (MAX_BEGUN, MAX_BEGUN));
        assert_eq!(begun.take(1, &hash(4), &hash(0)), None);
        assert_eq!(begun.take(1, &hash(5), &hash(0)).as_deref(), Some("5"));
        begun.insert(1_000, hash(1), Waiting { browser: hash(0), verifier: String::new(), until_ns: 2_000 });
        assert_eq!((begun.by_state.len(), begun.order.len()), (1, 1), "the late ones are gone");
    }
}
