//! Cross-origin calls: off unless origins are listed, and for scoring, jobs and their documents only.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderMap, HeaderValue, ORIGIN, VARY,
};
use http::{Method, StatusCode, request};
use telemetry::Surface;

use crate::reply::Reply;
use crate::routes::Route;

/// The request's origin, where pages of it may call this route.
pub(crate) fn allowed<'r>(
    head: &'r request::Parts,
    route: &Route,
    origins: &[String],
) -> Option<&'r HeaderValue> {
    if origins.is_empty()
        || !matches!(
            route.surface,
            Surface::Score | Surface::Jobs | Surface::Docs
        )
    {
        return None;
    }
    let origin = head.headers.get(ORIGIN)?;
    let listed = |o: &String| o == "*" || o.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
    origins.iter().any(listed).then_some(origin)
}

/// Whether this is a browser's question before a call.
pub(crate) fn is_preflight(head: &request::Parts) -> bool {
    head.method == Method::OPTIONS && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a browser's question.
pub(crate) fn preflight(route: &Route) -> Reply {
    let mut reply = Reply::empty(StatusCode::NO_CONTENT)
        .with(
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static(
                "authorization, content-type, accept-language, x-ms-client-request-id",
            ),
        )
        .with(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    if let Ok(methods) = HeaderValue::from_str(&route.allow()) {
        reply.headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    }
    reply
}

/// Adds to a reply what lets a page of that origin read it.
pub(crate) fn expose(headers: &mut HeaderMap, origin: &HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("x-ms-request-id, x-ms-error-code, retry-after"),
    );
    headers.append(VARY, HeaderValue::from_static("origin"));
}
