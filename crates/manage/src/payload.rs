//! Definitions that lie in a blob: a definition that is too large for a request is stored by the
//! caller, who sends where.

use std::sync::Arc;

use faults::Fault;
use outbound::Source;
use serde_json::{Map, Value};

use crate::Inner;
use crate::deploy::Order;
use crate::download::{Account, Located};
use crate::json::{self, Body, member, object};

/// The largest definition that is fetched: what containers take in one message is less.
const LIMIT: u64 = 64 << 20;

/// Whether the definition of this body is to be fetched.
pub(crate) fn is_elsewhere(body: &Body) -> bool {
    body.properties().is_some_and(|properties| {
        let said = match member(properties, "payloadsInBlobStorage") {
            Some(Value::Bool(said)) => *said,
            Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
            _ => false,
        };
        said && !matches!(member(properties, "package"), Some(Value::Object(_)))
    })
}

/// Where the definition lies.
///
/// # Errors
/// `BadArgument.MissingWebServicePackage` where the body does not say where;
/// `BadArgument.InvalidBlob` and others of [`Inner::locate`].
pub(crate) fn locate(inner: &Inner, body: &Body) -> Result<Located, Fault> {
    let properties = body.properties();
    let text = |object: Option<&Map<String, Value>>, name: &str| {
        object
            .and_then(|object| member(object, name)?.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let location = properties.and_then(|p| object(p, "payloadsLocation"));
    let uri = text(location, "uri");
    if uri.trim().is_empty() {
        return Err(faults::bad_argument::missing_web_service_package().at("payloadsLocation/uri"));
    }
    let account = properties.and_then(|p| object(p, "storageAccount"));
    let account = Account {
        name: text(account, "name"),
        key: text(account, "key"),
    };
    inner
        .locate(&uri, &text(location, "credentials"), &account)
        .map_err(|fault| fault.at("payloadsLocation"))
}

/// Fetches the definition and puts it in the place of the one that said where it is. What the
/// request itself says stands.
///
/// # Errors
/// As [`locate`]; what fetching fails with; `WebServicePackageError.FormatError` for content that
/// is no JSON object.
pub(crate) async fn fetch(inner: &Arc<Inner>, order: &mut Order) -> Result<(), Fault> {
    let bytes = match locate(inner, &order.body)? {
        Located::Away(source) => inner.fetch_whole(&source, LIMIT).await,
        Located::Here(sha256) => {
            let source = Source::new(format!("umpire:sha256:{sha256}"));
            let store = inner.store.clone();
            let read = tokio::task::spawn_blocking(move || {
                let mut content = Vec::new();
                let file = store.blobs.open(&sha256)?;
                std::io::Read::read_to_end(&mut std::io::Read::take(file, LIMIT), &mut content)
                    .map_err(|e| faults::internal_error::resource_download().caused_by(&e))?;
                Ok(content.into())
            });
            read.await
                .map_err(|e| crate::deploy::broken(&e))?
                .map_err(|fault: Fault| fault.because(source.shown()))
        }
    };
    let bytes = bytes.map_err(|fault| fault.at("payloadsLocation"))?;
    let wrong = |why: &str| {
        faults::web_service_package_error::format_error(format!("payloadsLocation: {why}"))
    };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let fetched: Value = serde_json::from_slice(bytes)
        .map_err(|e| wrong(&format!("the content is no JSON: {e}")))?;
    let fetched = fetched
        .as_object()
        .ok_or_else(|| wrong("the content is no JSON object"))?;
    // The whole resource, or its properties alone.
    let mut properties = match object(fetched, "properties") {
        Some(properties) if member(fetched, "package").is_none() => properties.clone(),
        _ => fetched.clone(),
    };
    json::remove(&mut properties, &PAYLOAD);
    let own = order.body.properties().cloned().unwrap_or_default();
    for (name, value) in own {
        if PAYLOAD.iter().any(|p| p.eq_ignore_ascii_case(&name)) || value.is_null() {
            continue;
        }
        match json::member_mut(&mut properties, &name) {
            Some(old) => *old = value,
            None => drop(properties.insert(name, value)),
        }
    }
    if let Some(top) = order.body.resource.as_object_mut()
        && let Some(old) = json::member_mut(top, "properties")
    {
        *old = properties.into();
    }
    order.body.settle();
    inner.open_credentials(&mut order.body, None)
}

/// The members that say where a definition lies; it has none of them itself.
const PAYLOAD: [&str; 2] = ["payloadsInBlobStorage", "payloadsLocation"];
