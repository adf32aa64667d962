//! A request's body with limits on how long the client may keep us waiting.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::ListenerLimits;

/// The allowed waiting time. Only waiting for the client counts: a handler may read as slowly as it likes.
#[derive(Debug, Clone, Copy)]
struct Pace {
    pause: Duration,
    grace: Duration,
    /// Bytes per second; never 0.
    floor: u64,
    received: u64,
    waited: Duration,
}

impl Pace {
    /// Returns how long the client may keep us waiting for its next chunk.
    fn may_wait(&self) -> Duration {
        let earned = Duration::from_secs(self.received / self.floor);
        let left = self.grace.saturating_add(earned).saturating_sub(self.waited);
        left.min(self.pause)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the request's body arrived too slowly")]
struct TooSlow;

pub(super) struct Upload {
    body: Incoming,
    pace: Pace,
    /// The start of the current wait, and the timer for its end.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Upload {
    pub(super) fn new(body: Incoming, limits: &ListenerLimits) -> Self {
        Self {
            body,
            pace: Pace {
                pause: limits.body_pause,
                grace: limits.body_grace,
                floor: limits.body_floor.max(1),
                received: 0,
                waited: Duration::ZERO,
            },
            waiting: None,
        }
    }

    fn poll_limit(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let may_wait = self.pace.may_wait();
        let (_, timer) = self.waiting.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(sleep_until(now + may_wait)))
        });
        timer.as_mut().poll(context)
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Poll::Ready(polled) = Pin::new(&mut self.body).poll_frame(context) else {
            return self.poll_limit(context).map(|()| Some(Err(TooSlow.into())));
        };
        if let Some((since, _)) = self.waiting.take() {
            self.pace.waited += since.elapsed();
        }
        if let Some(Ok(frame)) = &polled {
            self.pace.received += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        Poll::Ready(polled.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(received: u64, waited: u64) -> Pace {
        Pace {
            pause: Duration::from_secs(30),
            grace: Duration::from_secs(60),
            floor: 1_024,
            received,
            waited: Duration::from_secs(waited),
        }
    }

    #[test]
    fn a_body_below_the_floor_rate_is_ended_and_a_steady_one_is_not() {
        let left = |received, waited| pace(received, waited).may_wait().as_secs();
        assert_eq!(left(0, 0), 30, "nothing received: the pause limits");
        assert_eq!(left(3, 59), 1, "a few bytes: the grace period limits");
        assert_eq!(left(3, 61), 0);
        assert_eq!(left(1_024 * 1_000, 1_000), 30, "a KiB per second continues");
    }
}
