//! A request for a token on its way: through the desk to the registrar, perhaps by way of GitHub, and back.

use std::net::IpAddr;

use crate::api::Answer;
use crate::api::error::{self, ApiError};
use crate::api::sign_in::{self, Returned};
use crate::auth::{Arrival, Departure};
use crate::front::Front;
use crate::http::Request;
use crate::hub::Pending;
use crate::journal::TokenHash;
use crate::mesh::{Answered, NotIssued};

/// A token that is asked for, once all requests before have been answered.
pub struct Issuing {
    asked: Asked,
    pending: Option<Pending>,
}

/// What it is asked for with.
enum Asked {
    /// The token that it replaces.
    Rotate(TokenHash),
    /// What a browser has brought from GitHub, once; or why that does not count. The answer is a page, or JSON.
    SignIn { arrival: Option<Result<Arrival, ApiError>>, as_page: bool },
}

/// Sends a browser to GitHub.
///
/// # Errors
/// This server does not know GitHub, or cannot do it now.
pub fn departure(front: &Front, now_ns: u64, request: &Request<'_>, peer: IpAddr) -> Result<Answer, ApiError> {
    let sign_in = front.sign_in.as_ref().ok_or_else(error::no_sign_in)?;
    front.count_sign_in(now_ns, request, peer)?;
    let departure = sign_in.begin(now_ns, request.fields.named("Cookie")).map_err(|error| {
        tracing::error!("nobody can sign in: {error}");
        error::no_time_for_tokens()
    })?;
    let Departure { location, cookie } = departure;
    Ok(sign_in::departure(location, cookie))
}

impl Issuing {
    /// A token instead of the one that was presented.
    pub fn rotation(presented: TokenHash) -> Issuing {
        Issuing { asked: Asked::Rotate(presented), pending: None }
    }

    /// Takes a browser back from GitHub. What it has brought counts once, so it is taken here, where the request is.
    ///
    /// # Errors
    /// This server does not know GitHub.
    pub fn arrival(
        front: &Front,
        now_ns: u64,
        request: &Request<'_>,
        peer: IpAddr,
        returned: Result<Returned, ApiError>,
    ) -> Result<Issuing, ApiError> {
        let sign_in = front.sign_in.as_ref().ok_or_else(error::no_sign_in)?;
        let counted = front.count_sign_in(now_ns, request, peer);
        let arrival = counted.and(returned).and_then(|Returned { code, state }| {
            let cookies = request.fields.named("Cookie");
            sign_in.arrive(now_ns, &code, &state, cookies).map_err(error::sign_in_refused)
        });
        let asked = Asked::SignIn { arrival: Some(arrival), as_page: sign_in::wants_page(request) };
        Ok(Issuing { asked, pending: None })
    }

    /// The answer, once it is there; the first call asks for it.
    pub fn answer(&mut self, front: &Front, body: &mut Vec<u8>) -> Option<Result<Answer, ApiError>> {
        if self.pending.is_none() {
            match self.send(front) {
                Ok(pending) => self.pending = Some(pending),
                Err(error) => return Some(self.refused(body, error)),
            }
        }
        let issued = match front.hub.settled(self.pending.as_mut().expect("it was sent"))? {
            Ok(Answered::Token(issued)) => issued.map_err(|error| not_issued(front, &self.asked, error)),
            Ok(_) => unreachable!("a token was asked for"),
            Err(_) => Err(error::no_time_for_tokens()),
        };
        Some(match issued {
            Ok(issued) => Ok(sign_in::token(body, &issued, self.as_page())),
            Err(error) => self.refused(body, error),
        })
    }

    fn send(&mut self, front: &Front) -> Result<Pending, ApiError> {
        Ok(match &mut self.asked {
            Asked::Rotate(presented) => front.hub.send_outside(|back| front.desk.rotate(*presented, back)),
            Asked::SignIn { arrival, .. } => {
                let arrival = arrival.take().expect("it arrives once")?;
                front.hub.send_outside(|back| front.desk.sign_in(arrival, back))
            }
        })
    }

    /// An error as a person or a program is told it.
    fn refused(&self, body: &mut Vec<u8>, error: ApiError) -> Result<Answer, ApiError> {
        if self.as_page() { Ok(sign_in::error_page(body, &error)) } else { Err(error) }
    }

    fn as_page(&self) -> bool {
        matches!(self.asked, Asked::SignIn { as_page: true, .. })
    }

    /// What is waited for, after a call of [`Issuing::answer`] that gave nothing.
    pub fn pending(&self) -> &Pending {
        self.pending.as_ref().expect("a token was asked for")
    }
}

fn not_issued(front: &Front, asked: &Asked, error: NotIssued) -> ApiError {
    match (error, asked) {
        // It is not in the database. If it still counts, it is one of the configuration.
        (NotIssued::NotStored, Asked::Rotate(presented)) if front.principals().knows(presented) => {
            error::configured_token()
        }
        (NotIssued::NotStored, _) => error::authentication_failed(),
        (NotIssued::Refused(why), _) => error::sign_in_refused(why),
        (NotIssued::Upstream(why), _) => error::upstream(why),
        (NotIssued::Unavailable, _) => error::no_time_for_tokens(),
    }
}
