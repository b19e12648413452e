//! Cross-origin rules: pages of any origin may call the API. Source: data-and-functions 8.5.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use futures::future::{BoxFuture, Either};
use tower::{Layer, Service, ServiceExt};

const METHODS: HeaderValue = HeaderValue::from_static("GET,POST,OPTIONS,PATCH,DELETE,PUT");
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("86400");

/// The rules for the routes of the API. What no page of another origin asks for goes by without a detour.
#[derive(Clone, Copy)]
pub(super) struct CrossOrigin;

impl<S> Layer<S> for CrossOrigin {
    type Service = Around<S>;

    fn layer(&self, inner: S) -> Around<S> {
        Around(inner)
    }
}

/// A service within the rules.
#[derive(Clone)]
pub(super) struct Around<S>(S);

type Answered = Result<Response, Infallible>;

impl<S> Service<Request> for Around<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<S::Future, BoxFuture<'static, Answered>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if !request.headers().contains_key(ORIGIN) {
            return Either::Left(self.0.call(request));
        }
        let inner = self.0.clone();
        let answer = async |request| inner.oneshot(request).await.unwrap_or_else(|never| match never {});
        Either::Right(async { Ok(around(request, answer).await) }.boxed())
    }
}

/// Answers preflights and adds the headers to every answer for a page of another origin.
pub(in crate::net) async fn around(request: Request, answer: impl AsyncFnOnce(Request) -> Response) -> Response {
    let Some(origin) = request.headers().get(ORIGIN).cloned() else {
        return answer(request).await;
    };
    let asked = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        answer(request).await
    };
    allow(response.headers_mut(), origin, asked);
    response
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue, asked: Option<HeaderValue>) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS);
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(asked) = asked {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked);
    }
}
