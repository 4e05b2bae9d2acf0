//! Who somebody is and what they may do, as the API server says.
//!
//! A token is reviewed for the gateway's own audience first, then for the API server's; a permission is asked for
//! with the names of a request, whether or not there is such a capture. Answers are kept: what is allowed for 30 to 60
//! seconds, what is not for 5 to 10.
//!
//! # Invariants
//! - Tokens are known by their SHA-256 alone, and kept nowhere.
//! - At most [`AT_A_TIME`] reviews run; wrong tokens of one address are refused unseen after a few.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, PostParams};
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::warn;

use super::memo::{Answer, Memo};
use super::throttle::Throttle;
use crate::clock::Clock;
use crate::telemetry::chain;
use crate::telemetry::metrics::{GatewayMetrics, ReviewLabels};

/// Reviews at a time: the API server is others', too.
pub(super) const AT_A_TIME: usize = 16;

/// How long a review may take, the wait for its turn included.
const LIMIT: Duration = Duration::from_secs(5);

/// Answers of each kind that are kept, good and bad ones apart; one has about half a kilobyte.
const MAX_KEPT: usize = 4096;

/// The longest token that is looked at, in bytes: those with many groups have about 8 KiB.
const MAX_TOKEN: usize = 16 << 10;

/// A digest that stands for a token.
type Digest = [u8; SHA256_OUTPUT_LEN];

/// Somebody that the API server knows.
pub(super) struct Identity {
    digest: Digest,
    user: UserInfo,
}

/// What somebody may do, in the words of RBAC.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Permission {
    pub(super) verb: &'static str,
    /// The subresource of `tracecaptures`; empty for the object itself.
    pub(super) subresource: &'static str,
    /// `None` for all namespaces.
    pub(super) namespace: Option<String>,
    /// `None` for all captures.
    pub(super) name: Option<String>,
}

/// Why nobody is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stranger {
    /// The token is none of this cluster, or for another audience.
    Unknown,
    /// Too many wrong tokens came from the same address.
    Throttled,
    /// The API server does not say.
    Unavailable,
}

/// The API server does not say. Another try may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unavailable;

/// The way to the API server's judgements.
pub(super) struct Reviews {
    asker: Asker,
    throttle: Mutex<Throttle>,
    identities: Memo<Digest, Option<Arc<Identity>>, Unavailable>,
    permissions: Memo<(Digest, Permission), bool, Unavailable>,
}

/// What asks, as often as it is asked.
#[derive(Clone)]
struct Asker {
    client: Client,
    audience: String,
    clock: Arc<dyn Clock>,
    turns: Arc<Semaphore>,
    metrics: GatewayMetrics,
}

impl Answer for Option<Arc<Identity>> {
    fn is_good(&self) -> bool {
        self.is_some()
    }

    fn keep(&self) -> Duration {
        keep(self.is_some())
    }
}

impl Answer for bool {
    fn is_good(&self) -> bool {
        *self
    }

    fn keep(&self) -> Duration {
        keep(*self)
    }
}

fn keep(is_good: bool) -> Duration {
    Duration::from_secs(if is_good { 30 } else { 5 })
}

impl Identity {
    /// Returns the name of the user, for the audit.
    pub(super) fn name(&self) -> &str {
        self.user.username.as_deref().unwrap_or_default()
    }
}

impl Reviews {
    pub(super) fn new(client: Client, audience: String, clock: Arc<dyn Clock>, metrics: GatewayMetrics) -> Self {
        let (identities, permissions) =
            (Memo::new(Arc::clone(&clock), MAX_KEPT), Memo::new(Arc::clone(&clock), MAX_KEPT));
        let turns = Arc::new(Semaphore::new(AT_A_TIME));
        let asker = Asker { client, audience, clock, turns, metrics };
        Self { asker, throttle: Mutex::default(), identities, permissions }
    }

    /// Returns who shows a token.
    ///
    /// # Errors
    /// [`Stranger`]; only where the API server does not say, another try may help soon.
    ///
    /// # Cancel safety
    /// Safe: who else waits for the same answer goes on.
    pub(super) async fn identify(&self, token: &str, from: IpAddr) -> Result<Arc<Identity>, Stranger> {
        if token.is_empty() || token.len() > MAX_TOKEN || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Stranger::Unknown);
        }
        let mut key: Digest = [0; SHA256_OUTPUT_LEN];
        key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        if let Some(kept) = self.identities.kept(&key) {
            return kept.ok_or(Stranger::Unknown);
        }
        // Who was known a while ago is not kept waiting by strangers at the same address.
        let counts = !self.identities.was_good(&key);
        if counts && !self.throttle(|throttle, now| throttle.take(from, now)) {
            self.asker.metrics.throttled.inc();
            return Err(Stranger::Throttled);
        }
        let (asker, token) = (self.asker.clone(), token.to_owned());
        let found = self.identities.get(&key, move || async move { asker.identify(token, key).await }.boxed()).await;
        if counts && !matches!(found, Ok(None)) {
            self.throttle(|throttle, now| throttle.give_back(from, now));
        }
        found.map_err(|Unavailable| Stranger::Unavailable)?.ok_or(Stranger::Unknown)
    }

    /// Tells whether somebody may do something.
    ///
    /// # Errors
    /// Where the API server does not say; another try may help.
    ///
    /// # Cancel safety
    /// Safe: who else waits for the same answer goes on.
    pub(super) async fn allows(&self, who: &Arc<Identity>, permission: Permission) -> Result<bool, Unavailable> {
        let key = (who.digest, permission.clone());
        let (asker, who) = (self.asker.clone(), Arc::clone(who));
        self.permissions.get(&key, move || async move { asker.allows(&who, permission).await }.boxed()).await
    }

    fn throttle<T>(&self, act: impl FnOnce(&mut Throttle, Duration) -> T) -> T {
        let now = self.asker.clock.monotonic();
        act(&mut self.throttle.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}

impl Asker {
    async fn identify(self, token: String, digest: Digest) -> Result<Option<Arc<Identity>>, Unavailable> {
        let asked = async {
            match self.review(&token, Some(&self.audience)).await? {
                Some(user) => Ok(Some(user)),
                None => self.review(&token, None).await,
            }
        };
        let user = self.ask("token", asked, |user: &Option<UserInfo>| user.is_some()).await?;
        Ok(user.map(|user| Arc::new(Identity { digest, user })))
    }

    async fn review(&self, token: &str, audience: Option<&String>) -> kube::Result<Option<UserInfo>> {
        let audiences = audience.map(|audience| vec![audience.clone()]);
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences };
        let review = TokenReview { spec, ..TokenReview::default() };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let status = api.create(&PostParams::default(), &review).await?.status.unwrap_or_default();
        // Without audiences in its answer the server knows none, and vouches for its own alone.
        let is_meant = match (audience, status.audiences.filter(|audiences| !audiences.is_empty())) {
            (Some(wanted), Some(audiences)) => audiences.contains(wanted),
            _ => true,
        };
        Ok(status.user.filter(|_| status.authenticated == Some(true) && is_meant))
    }

    async fn allows(self, who: &Identity, permission: Permission) -> Result<bool, Unavailable> {
        let Permission { verb, subresource, namespace, name } = permission;
        let attributes = ResourceAttributes {
            group: Some("tracecapture.dev".to_owned()),
            version: Some("v1alpha1".to_owned()),
            resource: Some("tracecaptures".to_owned()),
            subresource: (!subresource.is_empty()).then(|| subresource.to_owned()),
            verb: Some(verb.to_owned()),
            namespace,
            name,
            ..ResourceAttributes::default()
        };
        let user = who.user.clone();
        let spec = SubjectAccessReviewSpec {
            user: user.username,
            groups: user.groups,
            uid: user.uid,
            extra: user.extra,
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let asked = async {
            let status = api.create(&PostParams::default(), &review).await?.status.unwrap_or_default();
            Ok(status.allowed && status.denied != Some(true))
        };
        self.ask("access", asked, |allowed| *allowed).await
    }

    /// Asks when it is our turn, and counts what comes of it.
    async fn ask<T>(
        &self,
        kind: &'static str,
        question: impl Future<Output = kube::Result<T>>,
        is_good: impl FnOnce(&T) -> bool,
    ) -> Result<T, Unavailable> {
        let turn = async {
            let _turn = self.turns.acquire().await;
            question.await
        };
        let answer = match timeout(LIMIT, turn).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                // The error is the API server's answer; no token stands in it.
                warn!(kind, error = chain(&error), "cannot have a review");
                Err(Unavailable)
            }
            Err(_) => {
                warn!(kind, "a review takes too long");
                Err(Unavailable)
            }
        };
        let outcome = match &answer {
            Ok(answer) if is_good(answer) => "allowed",
            Ok(_) => "denied",
            Err(Unavailable) => "failed",
        };
        self.metrics.reviews.get_or_create(&ReviewLabels { kind, outcome }).inc();
        answer
    }
}
