//! Fetches the documents of an issuer: a port, and the real thing on reqwest.
//!
//! The real thing bounds time, size and redirects, asks allowed addresses only, and sends neither cookies nor
//! credentials. It uses no proxy: behind one, names would be resolved where they cannot be checked.

use std::error::Error as _;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, DATE, HeaderName, LOCATION};
use reqwest::redirect::Policy;
use url::Url;

use super::address::{AddressRefusal, Reach};
use super::rejection::shown_address;

/// Gets documents.
pub trait Fetch: Send + Sync {
    /// Gets one document, following redirects. Whatever the status, an answer is not an error.
    fn get(&self, url: Url, reach: Reach) -> BoxFuture<'static, Result<Response, FetchError>>;
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The header `Content-Type`.
    pub content_type: Option<String>,
    /// The header `Cache-Control`.
    pub cache_control: Option<String>,
    /// The header `Date`.
    pub date: Option<String>,
    /// The body, decompressed.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// The address itself is not allowed, so that asking again cannot help. Nothing was sent to it.
    Refused {
        /// The address, which a redirect may have named.
        url: String,
        /// Why not.
        why: AddressRefusal,
    },
    /// The name resolves to addresses that are not allowed, which may change. Nothing was sent there.
    Resolved(AddressRefusal),
    /// The whole of it took too long.
    TimedOut,
    /// The body is larger than this many bytes.
    TooLarge(usize),
    /// More redirects than this.
    TooManyRedirects(usize),
    /// Anything else between here and there.
    Transport(String),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { url, why } => write!(f, "{} is not asked: {why}", shown_address(url)),
            Self::Resolved(why) => write!(f, "the host is not asked: {why}"),
            Self::TimedOut => f.write_str("no complete answer came in time"),
            Self::TooLarge(limit) => write!(f, "the answer is larger than {limit} bytes"),
            Self::TooManyRedirects(limit) => write!(f, "more than {limit} redirects"),
            Self::Transport(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for FetchError {}

/// The bounds of a request.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    /// To the established connection.
    pub connect: Duration,
    /// From the first name look-up to the last byte, redirects included.
    pub total: Duration,
    /// Of a body, decompressed.
    pub body_bytes_max: usize,
    /// How many redirects are followed.
    pub redirects_max: usize,
}

impl Default for FetchLimits {
    /// Source: `spec/auth.md` 2.5 and A34. Key sets have 1 to 10 KiB; a client waits for the answer.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            total: Duration::from_secs(5),
            body_bytes_max: 256 * 1024,
            redirects_max: 3,
        }
    }
}

/// Fetches over HTTP.
#[derive(Clone, Default)]
pub struct HttpFetch(Arc<Inner>);

#[derive(Default)]
struct Inner {
    limits: FetchLimits,
    /// One for each reach, because a client has one resolver. Made when first used.
    clients: [OnceLock<Result<reqwest::Client, String>>; 3],
}

impl HttpFetch {
    /// With bounds of its own; [`Default`] has those of the specification.
    pub fn new(limits: FetchLimits) -> Self {
        Self(Arc::new(Inner { limits, clients: Default::default() }))
    }
}

impl Fetch for HttpFetch {
    fn get(&self, url: Url, reach: Reach) -> BoxFuture<'static, Result<Response, FetchError>> {
        let inner = self.0.clone();
        Box::pin(async move {
            let total = inner.limits.total;
            tokio::time::timeout(total, inner.get(url, reach)).await.unwrap_or(Err(FetchError::TimedOut))
        })
    }
}

impl Inner {
    async fn get(&self, mut url: Url, reach: Reach) -> Result<Response, FetchError> {
        let client = self.client(reach).map_err(FetchError::Transport)?;
        for _ in 0..=self.limits.redirects_max {
            reach.check_url(&url).map_err(|why| FetchError::Refused { url: url.to_string(), why })?;
            let answer = client.get(url.clone()).header(ACCEPT, "application/json").send().await.map_err(explain)?;
            match redirect_target(&url, &answer) {
                Some(target) => url = target,
                None => return self.read(answer).await,
            }
        }
        Err(FetchError::TooManyRedirects(self.limits.redirects_max))
    }

    async fn read(&self, mut answer: reqwest::Response) -> Result<Response, FetchError> {
        let header =
            |name: HeaderName| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (content_type, cache_control, date) = (header(CONTENT_TYPE), header(CACHE_CONTROL), header(DATE));
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(explain)? {
            if body.len() + chunk.len() > self.limits.body_bytes_max {
                return Err(FetchError::TooLarge(self.limits.body_bytes_max));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response { status, content_type, cache_control, date, body })
    }

    fn client(&self, reach: Reach) -> Result<&reqwest::Client, String> {
        let slot = match reach {
            Reach::Public => &self.clients[0],
            Reach::Loopback => &self.clients[1],
            Reach::Anywhere => &self.clients[2],
        };
        let made = slot.get_or_init(|| {
            reqwest::Client::builder()
                .user_agent(concat!("syncline/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::none())
                .referer(false)
                .no_proxy()
                .connect_timeout(self.limits.connect)
                .dns_resolver(CheckedResolver(reach))
                .build()
                .map_err(|error| format!("no HTTP client could be made: {}", chain(&error)))
        });
        made.as_ref().map_err(Clone::clone)
    }
}

/// Where an answer points to, if it does.
fn redirect_target(url: &Url, answer: &reqwest::Response) -> Option<Url> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    url.join(location).ok()
}

fn explain(error: reqwest::Error) -> FetchError {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(refused) = inner.downcast_ref::<NothingAllowed>() {
            return FetchError::Resolved(refused.0.clone());
        }
        source = inner.source();
    }
    if error.is_timeout() { FetchError::TimedOut } else { FetchError::Transport(chain(&error)) }
}

/// An error with its causes, because the outermost one of an HTTP client says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let cause = inner.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = inner.source();
    }
    text
}

/// Resolves names, and gives only those addresses that may be asked: the connection is made to one of these,
/// so a name that changes its address between check and use gains nothing.
struct CheckedResolver(Reach);

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed = allowed_of(reach, &found).map_err(NothingAllowed)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The addresses that may be asked.
fn allowed_of(reach: Reach, found: &[SocketAddr]) -> Result<Vec<SocketAddr>, AddressRefusal> {
    let allowed: Vec<SocketAddr> =
        found.iter().copied().filter(|address| reach.check_address(address.ip()).is_ok()).collect();
    match found.first() {
        Some(first) if allowed.is_empty() => {
            Err(AddressRefusal::NotPublic(format!("the address {} that it resolves to", first.ip())))
        }
        _ => Ok(allowed),
    }
}

#[derive(Debug)]
struct NothingAllowed(AddressRefusal);

impl fmt::Display for NothingAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for NothingAllowed {}
