//! Reading Azure storage: shared key signatures and connection strings.

use std::fmt;

use jiff::Timestamp;
use ring::hmac;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::base64;

/// The version of the storage service that requests name; signatures have the form of it.
const VERSION: &str = "2021-08-06";

/// A storage account with its key.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedKey {
    account: String,
    key: Vec<u8>,
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedKey({}, …)", self.account)
    }
}

impl SharedKey {
    /// An account by its name and its key in base64; `None` for a key that is not base64.
    pub fn new(account: &str, key: &str) -> Option<SharedKey> {
        let key = base64::decode(key.trim()).filter(|key| !key.is_empty())?;
        Some(SharedKey {
            account: account.to_owned(),
            key,
        })
    }

    /// The account's name.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The key as it was given: a secret.
    pub fn key(&self) -> String {
        base64::encode(&self.key)
    }

    /// A shared access signature that lets one blob be read between two times: a query without
    /// its `?`. A secret.
    pub fn read_signature(
        &self,
        container: &str,
        blob: &str,
        from: Timestamp,
        until: Timestamp,
    ) -> String {
        let time = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let (from, until) = (time(from), time(until));
        let account = &self.account;
        // Permissions, times, resource, identifier, IP, protocol, version, kind of resource; then
        // snapshot, encryption scope and five headers, which are empty.
        let text = format!(
            "r\n{from}\n{until}\n/blob/{account}/{container}/{blob}\n\n\n\n{VERSION}\nb\n\n\n\n\n\n\n"
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.key);
        let signature = base64::encode(hmac::sign(&key, text.as_bytes()).as_ref());
        let escaped = |text: &str| {
            text.replace('%', "%25")
                .replace('+', "%2B")
                .replace('/', "%2F")
                .replace('=', "%3D")
                .replace(':', "%3A")
        };
        format!(
            "sv={VERSION}&sr=b&st={}&se={}&sp=r&sig={}",
            escaped(&from),
            escaped(&until),
            escaped(&signature)
        )
    }

    /// Adds the headers that sign a request of `method` to `uri`. `headers` is all that takes part
    /// in the signature and is sent.
    pub(crate) fn sign(&self, method: &str, uri: &Uri, headers: &mut HeaderMap, now: Timestamp) {
        headers.insert(
            HeaderName::from_static("x-ms-version"),
            HeaderValue::from_static(VERSION),
        );
        if let Ok(date) = HeaderValue::from_str(&http_date(now)) {
            headers.insert(HeaderName::from_static("x-ms-date"), date);
        }
        let text = string_to_sign(&self.account, method, uri, headers);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.key);
        let signature = base64::encode(hmac::sign(&key, text.as_bytes()).as_ref());
        let value = format!("SharedKey {}:{signature}", self.account);
        if let Ok(mut value) = HeaderValue::from_str(&value) {
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static("authorization"), value);
        }
    }
}

/// What a signature is made of, as the storage service documents it for versions since
/// 2015-02-21.
fn string_to_sign(account: &str, method: &str, uri: &Uri, headers: &HeaderMap) -> String {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let mut text = format!("{method}\n");
    for name in [
        "content-encoding",
        "content-language",
        "content-length",
        "content-md5",
        "content-type",
        "date",
        "if-modified-since",
        "if-match",
        "if-none-match",
        "if-unmodified-since",
        "range",
    ] {
        // A length of zero is signed as none.
        let value = match (name, header(name)) {
            ("content-length", "0") => "",
            (_, value) => value,
        };
        text.push_str(value);
        text.push('\n');
    }
    let mut own: Vec<&str> = headers
        .keys()
        .map(HeaderName::as_str)
        .filter(|name| name.starts_with("x-ms-"))
        .collect();
    own.sort_unstable();
    for name in own {
        text.push_str(&format!("{name}:{}\n", header(name).trim()));
    }
    text.push_str(&format!("/{account}{}", uri.path()));
    let mut pairs: Vec<(String, String)> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name).to_ascii_lowercase(), decoded(value)))
        .collect();
    pairs.sort();
    let mut last = None;
    for (name, value) in pairs {
        if last.as_ref() == Some(&name) {
            text.push_str(&format!(",{value}"));
        } else {
            text.push_str(&format!("\n{name}:{value}"));
        }
        last = Some(name);
    }
    text
}

/// Decodes the `%41` of a query.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        let hex = |i: usize| after.get(i).and_then(|b| char::from(*b).to_digit(16));
        match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A time as HTTP headers have it: `Fri, 26 Jun 2015 23:39:12 GMT`.
fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A connection string, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The account's name, where it is told.
    pub account: Option<String>,
    /// Where blobs are: a URL without a slash at its end.
    pub endpoint: String,
    /// How requests are let in.
    pub credentials: crate::Credentials,
}

/// The account of the storage emulator, which is the same everywhere and no secret.
const EMULATOR: &str = "devstoreaccount1";
const EMULATOR_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

impl Connection {
    /// Reads `Name=value;…`: an account with its key, a blob endpoint with a shared access
    /// signature or alone, or `UseDevelopmentStorage=true`.
    ///
    /// # Errors
    /// What is wrong, in words that hold no key.
    pub fn parse(text: &str) -> Result<Connection, &'static str> {
        let mut parts: Vec<(String, &str)> = Vec::new();
        for part in text.split(';').map(str::trim).filter(|p| !p.is_empty()) {
            let (name, value) = part
                .split_once('=')
                .ok_or("a part of it is not Name=value")?;
            parts.push((name.trim().to_ascii_lowercase(), value.trim()));
        }
        let part = |name: &str| {
            parts
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, value)| *value)
                .filter(|value| !value.is_empty())
        };
        if part("usedevelopmentstorage").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
            let host = part("developmentstorageproxyuri").unwrap_or("http://127.0.0.1");
            let key = SharedKey::new(EMULATOR, EMULATOR_KEY).ok_or("the emulator has no key")?;
            return Ok(Connection {
                account: Some(EMULATOR.to_owned()),
                endpoint: format!("{}:10000/{EMULATOR}", host.trim_end_matches('/')),
                credentials: crate::Credentials::SharedKey(key),
            });
        }
        let account = part("accountname");
        let endpoint = match (part("blobendpoint"), account) {
            (Some(endpoint), _) => endpoint.trim_end_matches('/').to_owned(),
            (None, Some(account)) => blob_endpoint(
                part("defaultendpointsprotocol").unwrap_or("https"),
                account,
                part("endpointsuffix").unwrap_or(crate::AZURE_SUFFIX),
            ),
            (None, None) => return Err("it has neither AccountName nor BlobEndpoint"),
        };
        let credentials = match (part("sharedaccesssignature"), account, part("accountkey")) {
            (Some(signature), ..) => crate::Credentials::Signature(signature.to_owned()),
            (None, Some(account), Some(key)) => crate::Credentials::SharedKey(
                SharedKey::new(account, key).ok_or("AccountKey is not base64")?,
            ),
            (None, None, Some(_)) => return Err("it has AccountKey and no AccountName"),
            (None, Some(_), None) if part("blobendpoint").is_none() => {
                return Err("it has AccountName and no AccountKey");
            }
            (None, _, None) => crate::Credentials::None,
        };
        Ok(Connection {
            account: account.map(str::to_owned),
            endpoint,
            credentials,
        })
    }
}

/// Where the blobs of an account are.
pub(crate) fn blob_endpoint(protocol: &str, account: &str, suffix: &str) -> String {
    format!("{protocol}://{account}.blob.{suffix}")
}

/// What a storage service says about a failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Its code: `BlobNotFound`, `NoSuchKey`, ...
    pub code: Option<String>,
    /// Its sentence, the first line of it: ids of the request follow.
    pub message: Option<String>,
}

impl Said {
    /// Reads the XML body of an answer that is none of the content. Of a body of another kind
    /// nothing is read.
    pub fn read(body: &[u8]) -> Said {
        let text = String::from_utf8_lossy(body);
        let element = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            let (inner, _) = rest.split_once(&format!("</{name}>"))?;
            let line = inner.lines().map(str::trim).find(|line| !line.is_empty())?;
            Some(
                line.replace("&lt;", "<")
                    .replace("&gt;", ">")
                    .replace("&quot;", "\"")
                    .replace("&apos;", "'")
                    .replace("&amp;", "&"),
            )
        };
        Said {
            code: element("Code"),
            message: element("Message"),
        }
    }

    /// Code and sentence on one line; empty where nothing was said.
    pub fn line(&self) -> String {
        match (&self.code, &self.message) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(only), None) | (None, Some(only)) => only.clone(),
            (None, None) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Credentials;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    /// The example of the storage service's documentation.
    #[test]
    fn the_documented_string_is_signed() {
        let uri: Uri =
            "https://myaccount.blob.core.windows.net/mycontainer?restype=container&comp=metadata&timeout=20"
                .parse()
                .unwrap();
        let headers = headers(&[
            ("x-ms-version", "2015-02-21"),
            ("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"),
        ]);
        assert_eq!(
            string_to_sign("myaccount", "GET", &uri, &headers),
            "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
        );
    }

    #[test]
    fn conditions_take_part_and_the_emulators_account_stands_twice() {
        let uri: Uri =
            "http://127.0.0.1:10000/devstoreaccount1/c/a%20b.csv?Snapshot=2%3A1&snapshot=3"
                .parse()
                .unwrap();
        let headers = headers(&[("if-none-match", "\"0x8D\""), ("content-length", "0")]);
        assert_eq!(
            string_to_sign(EMULATOR, "GET", &uri, &headers),
            "GET\n\n\n\n\n\n\n\n\n\"0x8D\"\n\n\n\
             /devstoreaccount1/devstoreaccount1/c/a%20b.csv\nsnapshot:2:1,3"
        );
    }

    #[test]
    fn a_signed_request_names_the_account_and_not_the_key() {
        let key = SharedKey::new("acct", "c2VjcmV0").unwrap();
        let uri: Uri = "https://acct.blob.core.windows.net/c/b".parse().unwrap();
        let mut headers = HeaderMap::new();
        let at: Timestamp = "2015-06-26T23:39:12Z".parse().unwrap();
        key.sign("GET", &uri, &mut headers, at);
        assert_eq!(headers["x-ms-date"], "Fri, 26 Jun 2015 23:39:12 GMT");
        let authorization = headers["authorization"].to_str().unwrap();
        assert!(
            authorization.starts_with("SharedKey acct:"),
            "{authorization}"
        );
        assert_eq!(
            base64::decode(&authorization["SharedKey acct:".len()..])
                .unwrap()
                .len(),
            32
        );
        assert!(!format!("{key:?}{headers:?}").contains("secret"));
        assert_eq!(SharedKey::new("acct", "not base64!"), None);
        assert_eq!(SharedKey::new("acct", ""), None);
    }

    #[test]
    fn connection_strings_are_read() {
        let shared =
            |account: &str| Credentials::SharedKey(SharedKey::new(account, "a2V5").unwrap());
        for (text, endpoint, credentials) in [
            (
                "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=a2V5",
                "https://acct.blob.core.windows.net",
                shared("acct"),
            ),
            (
                "accountname=acct; AccountKey=a2V5 ;EndpointSuffix=core.chinacloudapi.cn;",
                "https://acct.blob.core.chinacloudapi.cn",
                shared("acct"),
            ),
            (
                "BlobEndpoint=https://files.example/x/;SharedAccessSignature=sv=1&sig=a=",
                "https://files.example/x",
                Credentials::Signature("sv=1&sig=a=".into()),
            ),
            ("BlobEndpoint=http://h:1", "http://h:1", Credentials::None),
        ] {
            let read = Connection::parse(text).unwrap();
            assert_eq!(
                (read.endpoint.as_str(), read.credentials),
                (endpoint, credentials)
            );
        }
        let emulator = Connection::parse("UseDevelopmentStorage=true").unwrap();
        assert_eq!(emulator.endpoint, "http://127.0.0.1:10000/devstoreaccount1");
        for wrong in [
            "",
            "x",
            "AccountName=a",
            "AccountKey=a2V5",
            "AccountName=a;AccountKey=%%%",
        ] {
            let problem = Connection::parse(wrong).unwrap_err();
            assert!(!problem.contains("%%%"), "{problem}");
        }
    }

    #[test]
    fn what_storage_says_is_found() {
        let body = b"\xef\xbb\xbf<?xml version=\"1.0\"?><Error><Code>BlobNotFound</Code><Message>The specified blob does not exist.\nRequestId:1\nTime:2</Message></Error>";
        assert_eq!(
            Said::read(body).line(),
            "BlobNotFound: The specified blob does not exist."
        );
        assert_eq!(Said::read(b"<html>"), Said::default());
        let escaped = Said::read(b"<Error><Message>'a&amp;b' &lt; &quot;c&quot;</Message></Error>");
        assert_eq!(escaped.line(), "'a&b' < \"c\"");
    }
}
