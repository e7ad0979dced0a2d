//! Ejection by status: an endpoint whose responses are server errors far more often than those of the others.
//!
//! Pure: counters go in, decisions come out. HAProxy (`observe layer7`) and Envoy (`consecutive_5xx`) count errors in a
//! row, which also ejects endpoints when the whole site fails; Envoy's success rate compares the endpoints of a pool,
//! as this does. The endpoints in use get the same mix of requests. So a URL that always fails raises the share of all,
//! and a bad release of the site as well; only an endpoint that is faulty by itself differs. Consistent hashing and
//! cookies assign URLs or clients to endpoints, so with them this is off by default; see
//! [`ties_requests`](crate::config::ties_requests).

/// The responses of an endpoint or of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Responses {
    /// All of them.
    pub total: u64,
    /// Those that are server errors; see [`is_server_error`].
    pub errors: u64,
}

/// The fewest responses of an endpoint, and of the others together, that are compared.
const ENOUGH: u64 = 10;

/// The responses of an endpoint that are forgotten if the others gave none meanwhile. If they gave some, it counts on
/// until they gave enough: with `least_requests`, an endpoint that fails fast gets nearly all requests.
const TOO_MANY: u64 = 100;

/// How many times the share of the others an endpoint's share of errors must be.
const TIMES_OTHERS: f64 = 2.0;

/// How many standard deviations its number of errors must exceed what the share of the others predicts.
const DEVIATIONS: f64 = 3.0;

/// Whether a status shows that the endpoint failed. 501 and 505 are about the request, and HAProxy excludes them, too.
/// 503 counts even with `Retry-After`: an endpoint that alone asks its clients to come back later is better left alone.
#[must_use]
pub fn is_server_error(status: u16) -> bool {
    matches!(status, 500..=599) && !matches!(status, 501 | 505)
}

impl Responses {
    fn plus(self, other: Self) -> Self {
        Self { total: self.total.saturating_add(other.total), errors: self.errors.saturating_add(other.errors) }
    }

    fn minus(self, other: Self) -> Self {
        Self { total: self.total.saturating_sub(other.total), errors: self.errors.saturating_sub(other.errors) }
    }

    /// The share of errors, 0.0 to 1.0.
    #[must_use]
    pub fn share(self) -> f64 {
        if self.total == 0 { 0.0 } else { self.errors as f64 / self.total as f64 }
    }
}

impl std::iter::Sum for Responses {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Self::plus)
    }
}

/// The responses of one endpoint, and of its pool, since it was last compared with the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The endpoint's counters when they were last read.
    seen: Responses,
    own: Responses,
    pool: Responses,
}

impl Window {
    /// Adds what the endpoint responded since its counters were last read, and returns it.
    pub fn count(&mut self, counters: Responses) -> Responses {
        let new = counters.minus(self.seen);
        (self.seen, self.own) = (counters, self.own.plus(new));
        new
    }

    /// Adds what the pool responded in the same time, including this endpoint. Returns the endpoint's responses if at
    /// least `share` of them, which is more than 0.0, are errors and the others did far better. Forgets the responses
    /// once there are enough to decide.
    pub fn compare(&mut self, pool: Responses, share: f64) -> Option<Responses> {
        self.pool = self.pool.plus(pool);
        let (own, others) = (self.own, self.pool.minus(self.own));
        let is_decided = own.total >= ENOUGH && others.total >= ENOUGH;
        if is_decided || (own.total >= TOO_MANY && others.total == 0) {
            self.clear();
        }
        (is_decided && own.share() >= share && deviates(own, others)).then_some(own)
    }

    /// Forgets the responses so far.
    pub fn clear(&mut self) {
        (self.own, self.pool) = (Responses::default(), Responses::default());
    }
}

/// Whether an endpoint errs far more often than the others, and not by chance: the standard deviation is that of a
/// binomial distribution. The others' share is taken with one more success and one more error (Laplace's rule), so that
/// it is never certain.
fn deviates(own: Responses, others: Responses) -> bool {
    let expected = (others.errors as f64 + 1.0) / (others.total as f64 + 2.0);
    let deviation = (expected * (1.0 - expected) / own.total as f64).sqrt();
    own.share() >= TIMES_OTHERS * others.share() && own.share() - expected >= DEVIATIONS * deviation
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn responses(errors: u64, total: u64) -> Responses {
        Responses { total, errors }
    }

    /// Whether the first of these endpoints, each with errors and responses, deviates.
    fn first_deviates(endpoints: &[(u64, u64)]) -> bool {
        let counters: Vec<_> = endpoints.iter().map(|(errors, total)| responses(*errors, *total)).collect();
        let mut window = Window::default();
        window.count(counters[0]);
        window.compare(counters.iter().copied().sum(), 0.5).is_some()
    }

    #[test]
    fn only_errors_of_the_endpoint_itself_count() {
        for (status, expected) in [
            (200, false),
            (404, false),
            (429, false),
            (499, false),
            (500, true),
            (501, false),
            (502, true),
            (503, true),
            (504, true),
            (505, false),
            (507, true),
            (599, true),
            (600, false),
        ] {
            assert_eq!(is_server_error(status), expected, "{status}");
        }
    }

    #[test]
    fn an_endpoint_that_errs_deviates_unless_the_others_err_as_well() {
        for (endpoints, expected) in [
            // One of three fails.
            (&[(10, 10), (0, 10), (0, 10)][..], true),
            (&[(1000, 1000), (3, 1000), (2, 1000)], true),
            // It fails half of the time, or less.
            (&[(500, 1000), (0, 1000), (0, 1000)], true),
            (&[(499, 1000), (0, 1000), (0, 1000)], false),
            // The site fails, completely or for some URLs.
            (&[(10, 10), (10, 10), (10, 10)], false),
            (&[(600, 1000), (500, 1000), (550, 1000)], false),
            // Two of three fail, and three of four.
            (&[(1000, 1000), (1000, 1000), (0, 1000)], true),
            (&[(1000, 1000), (1000, 1000), (1000, 1000), (0, 1000)], false),
            // By chance, while a fifth of all requests fails.
            (&[(5, 10), (200, 1000)], false),
            // Too few to say, or nothing to compare with.
            (&[(9, 9), (0, 9), (0, 9)], false),
            (&[(10, 10), (0, 9)], false),
            (&[(10, 10)], false),
            (&[(0, 0), (0, 10)], false),
        ] {
            assert_eq!(first_deviates(endpoints), expected, "{endpoints:?}");
        }
    }

    #[test]
    fn responses_add_up_over_time_until_there_are_enough() {
        let mut window = Window::default();
        for round in 1..10 {
            assert_eq!(window.count(responses(round, round)), responses(1, 1));
            assert_eq!(window.compare(responses(1, 3), 0.5), None, "{round}");
        }
        window.count(responses(10, 10));
        assert_eq!(window.compare(responses(1, 3), 0.5), Some(responses(10, 10)));
        window.count(responses(11, 11));
        assert_eq!(window.compare(responses(1, 3), 0.5), None, "a new window has begun");
    }

    #[test]
    fn good_past_does_not_hide_errors() {
        let mut window = Window::default();
        window.count(responses(0, 1_000_000));
        assert_eq!(window.compare(responses(0, 3_000_000), 0.5), None);
        window.count(responses(10, 1_000_010));
        assert_eq!(window.compare(responses(10, 30), 0.5), Some(responses(10, 10)));
    }

    #[test]
    fn errors_without_a_comparison_are_forgotten() {
        let mut window = Window::default();
        window.count(responses(TOO_MANY, TOO_MANY));
        assert_eq!(window.compare(responses(TOO_MANY, TOO_MANY), 0.5), None);
        assert_eq!((window.own, window.pool), Default::default());
    }

    #[test]
    fn endpoint_that_gets_nearly_all_requests_because_it_fails_fast_deviates() {
        let mut window = Window::default();
        for round in 1..=10 {
            window.count(responses(250 * round, 250 * round));
            let expected = (round == 10).then_some(responses(2500, 2500));
            assert_eq!(window.compare(responses(250, 251), 0.5), expected, "{round}");
        }
    }

    proptest! {
        /// A fault of the whole site ejects nobody: the shares of all are the same but for a tenth. Shares in
        /// thousandths.
        #[test]
        fn a_fault_of_all_makes_none_deviate(
            total in 10_u64..10_000, share in 0_u64..=1000, others in 1_u64..300, more in 0_u64..=100,
        ) {
            let other = total * share / 1000;
            let own = (other * (1000 + more) / 1000).min(total);
            let endpoints: Vec<_> =
                std::iter::once((own, total)).chain((0..others).map(|_| (other, total))).collect();
            prop_assert!(!first_deviates(&endpoints));
        }

        #[test]
        fn no_counters_panic(steps in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 0..20)) {
            let mut window = Window::default();
            for (total, errors, pool) in steps {
                window.count(responses(errors.min(total), total));
                window.compare(responses(0, pool), 0.5);
            }
        }
    }
}
