//! One request on its way through the server, and its answer on the way back.

use std::future::poll_fn;
use std::net::IpAddr;
use std::task::{Context, Poll};

use monoio::time;

use super::issuing::{self, Issuing};
use crate::api::error::{self, ApiError};
use crate::api::locks::{self, Asked};
use crate::api::{self, Answer, Call, More};
use crate::clock::{self, Duration};
use crate::front::Front;
use crate::http::{self, Head, Method, Request, RequestId};
use crate::hub::{Pending, Unavailable};
use crate::lease::{self, Command, Denied, UserId};
use crate::mesh::{Answered, Query};
use crate::metrics::{Moment, Operation, Outcome, Route};
use crate::shard::Page;
use crate::vitals::Part;

/// How long a commit may take before `/health` says that the server is not well.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
const NO_COMMIT: &str = "no commit to the disk has succeeded for two seconds";

/// A request whose answer has not been written.
pub struct Flight {
    request_id: RequestId,
    keep_alive: bool,
    head_only: bool,
    /// Where it goes, for the metrics.
    route: Route,
    /// When it had been read.
    began: Moment,
    stage: Stage,
}

enum Stage {
    /// Refused before it came near a lock.
    Failed(ApiError),
    /// Answered at once.
    Page(Answer),
    /// One operation, on its way.
    Lock { asked: Asked, pending: Pending },
    /// A list. Its shares are asked for when all before it have been answered, and nothing after it starts before.
    List(Box<Listing>),
    /// A token, likewise: asked for when all before it have been answered.
    Token(Box<Issuing>),
    /// A question after the server's health, likewise; and what has been found.
    Health(Option<Result<(), ApiError>>),
    /// The figures.
    Metrics,
}

/// A list on its way.
struct Listing {
    user: UserId,
    query: Query,
    shares: Vec<Pending>,
    pages: Vec<Page>,
}

// Moved for every request, so the stages that are seldom, and large, are in boxes.
const _: () = assert!(size_of::<Flight>() <= 128);

impl Flight {
    /// Sends a request of `peer` on its way. `now_ns` must have been read after the request was.
    pub fn start(front: &Front, now_ns: u64, request: &Request<'_>, keep_alive: bool, peer: IpAddr) -> Flight {
        let understood = api::understand(request, &front.principals());
        let (route, stage) = match understood {
            _ if front.hub.has_failed() => (api::label(request.path), Stage::Failed(error::journal_failed())),
            Ok(Call::Lock { user, name, op }) => {
                let asked = Asked::of(&op, &name);
                let command = Command { user, name: &name, op: op.map(|metadata| &**metadata) };
                let route = route_of(&asked);
                (route, Stage::Lock { asked, pending: front.hub.send(now_ns, &command) })
            }
            Ok(Call::List { user, query }) => {
                (Route::List, Stage::List(Box::new(Listing { user, query, shares: Vec::new(), pages: Vec::new() })))
            }
            Ok(Call::Health) => (Route::Health, Stage::Health(None)),
            Ok(Call::Metrics(token)) => (Route::Metrics, figures(front, now_ns, request, token, peer)),
            Ok(Call::Page(answer)) => (Route::Pages, Stage::Page(answer)),
            Ok(Call::Rotate(presented)) => (Route::Auth, Stage::Token(Box::new(Issuing::rotation(presented)))),
            Ok(Call::BeginSignIn) => match issuing::departure(front, now_ns, request, peer) {
                Ok(answer) => (Route::Auth, Stage::Page(answer)),
                Err(error) => (Route::Auth, Stage::Failed(error)),
            },
            Ok(Call::FinishSignIn(returned)) => match Issuing::arrival(front, now_ns, request, peer, returned) {
                Ok(issuing) => (Route::Auth, Stage::Token(Box::new(issuing))),
                Err(error) => (Route::Auth, Stage::Failed(error)),
            },
            Err(error) => (api::label(request.path), Stage::Failed(front.counted(now_ns, error, request, peer))),
        };
        let head_only = request.method == Method::Head;
        Flight { request_id: front.request_id(), keep_alive, head_only, route, began: Moment::at(now_ns), stage }
    }

    /// What ends a connection with an error.
    pub fn failed(front: &Front, error: ApiError, head_only: bool) -> Flight {
        let (request_id, stage) = (front.request_id(), Stage::Failed(error));
        let began = Moment::at(front.recent_ns());
        Flight { request_id, keep_alive: false, head_only, route: Route::None, began, stage }
    }

    /// Whether nothing after it may start before it has been answered.
    pub fn goes_alone(&self) -> bool {
        matches!(self.stage, Stage::List(_) | Stage::Token(_) | Stage::Health(_))
    }

    /// What must be waited for by itself, now that the request has come to the front.
    pub async fn come_to_the_front(&mut self, front: &Front) {
        if let Stage::Health(found @ None) = &mut self.stage {
            *found = Some(healthy(front).await);
        }
    }

    /// The answer, its body written, once it is there and durable.
    pub fn answer(&mut self, front: &Front, body: &mut Vec<u8>) -> Option<Result<Answer, ApiError>> {
        body.clear();
        match &mut self.stage {
            Stage::Failed(error) => Some(Err(error.clone())),
            Stage::Page(answer) => Some(Ok(answer.clone())),
            Stage::Lock { asked, pending } => {
                let (outcome, answer) = match front.hub.settled(pending)? {
                    Ok(Answered::Lock(Ok(reply))) => {
                        // Only what counts down to a moment needs the clock: what expires when is told by the deadline.
                        let now_ns = match reply.outcome {
                            lease::Outcome::Held { .. } | lease::Outcome::Denied(_) => front.read_the_clock(),
                            _ => front.recent_ns(),
                        };
                        let principals = front.principals();
                        let view = front.view(now_ns, &principals);
                        (outcome_of(&reply.outcome), locks::answer(body, asked, &reply.outcome, &view))
                    }
                    Ok(_) => unreachable!("an operation is answered as one"),
                    Err(unavailable) => (unavailable.into(), Err(unavailable.into())),
                };
                let now_ns = front.about_now_ns();
                let took_ns = self.began.ns_until(now_ns);
                front.watch.metrics.operated(operation_of(asked), outcome, took_ns, pending.commit_wait_ns(now_ns));
                Some(answer)
            }
            Stage::Token(issuing) => issuing.answer(front, body),
            Stage::List(listing) => {
                let Listing { user, query, shares, pages } = &mut **listing;
                if front.is_behind_with_writing() {
                    return Some(Err(error::overloaded()));
                }
                if shares.is_empty() && pages.is_empty() {
                    *shares = front.hub.send_list(*user, query);
                }
                while let Some(share) = shares.last_mut() {
                    match front.hub.settled(share)? {
                        Ok(Answered::List(page)) => pages.push(page),
                        Ok(_) => unreachable!("a list is answered as one"),
                        Err(unavailable) => {
                            let took_ns = self.began.ns_until(clock::now_ns());
                            front.watch.metrics.operated(Operation::List, unavailable.into(), took_ns, None);
                            return Some(Err(unavailable.into()));
                        }
                    }
                    shares.pop();
                }
                let now_ns = clock::now_ns();
                let took_ns = self.began.ns_until(now_ns);
                front.watch.metrics.operated(Operation::List, Outcome::Listed, took_ns, None);
                Some(Ok(api::list::answer(body, pages, query.limit, &front.view(now_ns, &front.principals()))))
            }
            // Not asked yet: that is done when it has come to the front.
            Stage::Health(found) => Some(found.clone()?.map(|()| api::health::answer(body, &front.health()))),
            Stage::Metrics => Some(Ok(api::metrics::answer(body, &front.watch.registry))),
        }
    }

    /// Has the task woken when [`Flight::answer`] may have news.
    pub fn wake_when_ready(&self, front: &Front, cx: &Context<'_>) {
        match &self.stage {
            Stage::Lock { pending, .. } => front.hub.wake_when_settled(pending, cx.waker()),
            Stage::List(listing) => {
                front.hub.wake_when_settled(listing.shares.last().expect("a share is awaited"), cx.waker());
            }
            Stage::Token(issuing) => front.hub.wake_when_settled(issuing.pending(), cx.waker()),
            Stage::Failed(_) | Stage::Page(_) | Stage::Health(_) | Stage::Metrics => unreachable!("ready at once"),
        }
    }

    /// Appends the answer, `body` and all, to `out`. What it gives back is a body that is to be sent after it, from
    /// where it is.
    pub fn encode(
        &self,
        front: &Front,
        answer: Result<Answer, ApiError>,
        body: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Option<&'static [u8]> {
        let retry_after;
        let (status, extra) = match &answer {
            Ok(Answer { status, more: Some(more), .. }) => {
                front.watch.metrics.answered(self.route, *status);
                return self.encode_more(front, *status, more, body, out);
            }
            Ok(Answer { status, retry_after_s: None, .. }) => (*status, None),
            Ok(Answer { status, retry_after_s: Some(seconds), .. }) => {
                retry_after = seconds.to_string();
                (*status, Some(("Retry-After", &*retry_after)))
            }
            Err(error) => {
                body.clear();
                error.write(body, self.request_id);
                front.watch.metrics.refused(error.code);
                (error.status, error.header.as_ref().map(|(name, value)| (*name, &**value)))
            }
        };
        front.watch.metrics.answered(self.route, status);
        let head = Head {
            status,
            content_type: http::JSON,
            request_id: self.request_id,
            date: front.date(),
            keep_alive: self.keep_alive,
            extra: extra.as_slice(),
        };
        http::respond(out, &head, body, self.head_only);
        None
    }

    /// The same for an answer with more to it than JSON.
    fn encode_more(
        &self,
        front: &Front,
        status: u16,
        more: &More,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<&'static [u8]> {
        let extra: Vec<(&'static str, &str)> = more.headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let head = Head {
            status,
            content_type: more.content_type,
            request_id: self.request_id,
            date: front.date(),
            keep_alive: self.keep_alive,
            extra: &extra,
        };
        let Some(file) = more.file else {
            http::respond(out, &head, body, self.head_only);
            return None;
        };
        http::respond_head(out, &head, file.len());
        (!self.head_only).then_some(file)
    }
}

/// The figures, for whoever may see them.
fn figures(front: &Front, now_ns: u64, request: &Request<'_>, token: Option<&[u8]>, peer: IpAddr) -> Stage {
    match front.watch.access.check(front.is_local(request, peer), token) {
        Ok(()) => Stage::Metrics,
        Err(error) => Stage::Failed(front.counted(now_ns, error, request, peer)),
    }
}

/// Whether a commit succeeds, in time.
async fn healthy(front: &Front) -> Result<(), ApiError> {
    if front.hub.is_draining() {
        return Err(error::unhealthy("the server is shutting down"));
    }
    match front.watch.vitals.stalled() {
        Some(Part::Worker(_)) => return Err(error::unhealthy("a worker has given no sign of life for two seconds")),
        Some(Part::Journal) => return Err(error::unhealthy(NO_COMMIT)),
        None => {}
    }
    let probe = front.hub.send_probe();
    match time::timeout(PROBE_TIMEOUT, poll_fn(|cx| front.hub.poll_probe(&probe, cx))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(unavailable)) => Err(unavailable.into()),
        Err(_) => {
            poll_fn(|cx| {
                front.hub.give_up_probe(cx.waker());
                Poll::Ready(())
            })
            .await;
            Err(error::unhealthy(NO_COMMIT))
        }
    }
}

fn route_of(asked: &Asked) -> Route {
    match asked {
        Asked::Acquire => Route::Acquire,
        Asked::Renew => Route::Renew,
        Asked::Release(_) => Route::Release,
        Asked::Status(_) => Route::Status,
    }
}

fn operation_of(asked: &Asked) -> Operation {
    match asked {
        Asked::Acquire => Operation::Acquire,
        Asked::Renew => Operation::Renew,
        Asked::Release(_) => Operation::Release,
        Asked::Status(_) => Operation::Status,
    }
}

fn outcome_of(outcome: &lease::Outcome) -> Outcome {
    match outcome {
        lease::Outcome::Acquired { .. } => Outcome::Acquired,
        lease::Outcome::Held { .. } => Outcome::Held,
        lease::Outcome::Renewed { .. } => Outcome::Renewed,
        lease::Outcome::Released { .. } => Outcome::Released,
        lease::Outcome::Free => Outcome::Free,
        lease::Outcome::Denied(Denied::NotFound) => Outcome::NotFound,
        lease::Outcome::Denied(Denied::NotCurrent) => Outcome::NotCurrent,
        lease::Outcome::Denied(Denied::LimitReached | Denied::TokensExhausted) => Outcome::LimitReached,
        lease::Outcome::Denied(Denied::GracePeriod { .. }) => Outcome::Grace,
    }
}

impl From<Unavailable> for Outcome {
    fn from(unavailable: Unavailable) -> Outcome {
        match unavailable {
            Unavailable::Overloaded => Outcome::Overloaded,
            Unavailable::JournalFailed => Outcome::JournalFailed,
        }
    }
}

impl From<Unavailable> for ApiError {
    fn from(unavailable: Unavailable) -> ApiError {
        match unavailable {
            Unavailable::Overloaded => error::overloaded(),
            Unavailable::JournalFailed => error::journal_failed(),
        }
    }
}
