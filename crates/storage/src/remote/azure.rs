//! Azure storage accounts, and the emulators of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use object_store::azure::{
    AzureAccessKey, AzureAuthorizer, AzureCredential, MicrosoftAzure, MicrosoftAzureBuilder,
    split_sas,
};
use object_store::client::{HttpRequest, HttpRequestBody};
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::signer::Method;
use object_store::{
    Attribute, ClientOptions, HeaderValue, ObjectStore as _, PutOptions, PutPayload,
    StaticCredentialProvider,
};
use outbound::{Credentials, Outbound, base64};

use super::connector::{Connector, patience, watched};
use super::reading::{open, path_of};
use super::{Clouds, rest};
use crate::adapter::{Adapter, Doing};
use crate::staging::Upload;
use crate::text::{encoded_path, encoded_query};
use crate::{Failure, FailureKind, Joined, Part, PartLimits, Source, Staging};

/// The version of the service that requests of our own name.
const VERSION: &str = "2021-08-06";
/// How long before now a signature begins: clocks differ.
const EARLIER: SignedDuration = SignedDuration::from_mins(5);
const LIMITS: PartLimits = PartLimits {
    min: 0,
    max: 4000 << 20,
    most: 50_000,
};

/// A blob in an account.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct AzureBlob {
    /// Where the account's blob containers are, without a slash at its end.
    pub(crate) endpoint: String,
    pub(crate) credentials: Credentials,
    pub(crate) container: String,
    pub(crate) blob: String,
    /// The three strings that the caller gave, where he gave them.
    pub(crate) given: Option<Joined>,
}

impl AzureBlob {
    pub(crate) fn shown(&self) -> String {
        let url = format!("{}/{}/{}", self.endpoint, self.container, self.blob);
        outbound::Source::new(url).shown()
    }

    /// The account's name. Only with a key does it matter.
    fn account(&self) -> &str {
        match &self.credentials {
            Credentials::SharedKey(key) => key.account(),
            _ => "account",
        }
    }

    fn credential(&self) -> Result<Option<AzureCredential>, Failure> {
        let wrong = || Failure::new(FailureKind::Refused, "the credentials cannot be read");
        Ok(match &self.credentials {
            Credentials::SharedKey(key) => Some(AzureCredential::AccessKey(
                AzureAccessKey::try_new(&key.key()).map_err(|_| wrong())?,
            )),
            Credentials::Signature(token) => {
                let pairs = split_sas(token).map_err(|_| wrong())?;
                Some(AzureCredential::SASToken(pairs))
            }
            Credentials::None => None,
        })
    }

    fn client(&self, outbound: &Outbound, content_type: &str) -> Result<MicrosoftAzure, Failure> {
        let mut builder = MicrosoftAzureBuilder::new()
            .with_account(self.account())
            .with_container_name(&self.container)
            .with_endpoint(self.endpoint.clone())
            .with_allow_http(true)
            .with_retry(patience(outbound))
            // What a committed list of blocks gets as the blob's type.
            .with_client_options(ClientOptions::new().with_default_content_type(content_type))
            .with_http_connector(Connector(outbound.clone()));
        builder = match self.credential()? {
            Some(credential) => {
                builder.with_credentials(Arc::new(StaticCredentialProvider::new(credential)))
            }
            None => builder.with_skip_signature(true),
        };
        builder
            .build()
            .map_err(|_| Failure::new(FailureKind::BadName, "the account's address cannot be used"))
    }

    /// A request that `object_store` has no call for. `query` is sorted.
    fn request(
        &self,
        method: Method,
        with_blob: bool,
        query: &[(&str, &str)],
    ) -> Result<HttpRequest, Failure> {
        let mut url = format!("{}/{}", self.endpoint, encoded_path(&self.container));
        if with_blob {
            url = format!("{url}/{}", encoded_path(&self.blob));
        }
        for (i, (name, value)) in query.iter().enumerate() {
            let mark = if i == 0 { '?' } else { '&' };
            url.push_str(&format!("{mark}{name}={}", encoded_query(value)));
        }
        let wrong = || Failure::new(FailureKind::BadName, "the blob's URL cannot be read");
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url.parse().map_err(|_| wrong())?;
        let headers = request.headers_mut();
        headers.insert("x-ms-version", HeaderValue::from_static(VERSION));
        if method == Method::PUT {
            headers.insert("content-length", HeaderValue::from_static("0"));
        }
        *request.method_mut() = method;
        if let Some(credential) = self.credential()? {
            AzureAuthorizer::new(&credential, self.account())
                .try_authorize(&mut request)
                .map_err(|_| wrong())?;
        }
        Ok(request)
    }
}

/// What does the work at a blob.
pub(crate) fn adapter(clouds: &Clouds, blob: &AzureBlob) -> Result<Box<dyn Adapter>, Failure> {
    Ok(Box::new(Azure {
        path: path_of(&blob.blob)?,
        blob: blob.clone(),
        outbound: clouds.outbound.clone(),
    }))
}

struct Azure {
    path: Path,
    blob: AzureBlob,
    outbound: Outbound,
}

impl Azure {
    fn upload(&self, content_type: &str) -> Result<Blocks, Failure> {
        Ok(Blocks {
            client: self.blob.client(&self.outbound, content_type)?,
            path: self.path.clone(),
            content_type: content_type.to_owned(),
            blob: self.blob.clone(),
            outbound: self.outbound.clone(),
        })
    }
}

/// The type of a blob of which nothing is known.
const BYTES: &str = "application/octet-stream";

impl Adapter for Azure {
    fn open(&self) -> Doing<'_, Source> {
        Box::pin(async move {
            let client = self.blob.client(&self.outbound, BYTES)?;
            open(Arc::new(client), self.path.clone()).await
        })
    }

    fn probe(&self) -> Doing<'_, ()> {
        Box::pin(async move {
            // A block that no list names is not seen, and is dropped by the service.
            let upload = self.upload(BYTES)?;
            upload.stage(0, 0, Bytes::from_static(b"0")).await.map(drop)
        })
    }

    fn begin<'a>(&'a self, content_type: &'a str) -> Doing<'a, Staging> {
        Box::pin(async move { Ok(Staging::new(self.upload(content_type)?)) })
    }

    fn resume<'a>(&'a self, token: &'a str) -> Doing<'a, Staging> {
        Box::pin(async move {
            let content_type = token.strip_prefix("azure\n").ok_or_else(|| {
                Failure::new(
                    FailureKind::BadName,
                    "the token is of another kind of storage",
                )
            })?;
            Ok(Staging::new(self.upload(content_type)?))
        })
    }

    fn put<'a>(&'a self, content_type: &'a str, bytes: Bytes) -> Doing<'a, ()> {
        Box::pin(async move {
            let client = self.blob.client(&self.outbound, content_type)?;
            let mut options = PutOptions::default();
            let value = content_type.to_owned().into();
            options.attributes.insert(Attribute::ContentType, value);
            let payload = PutPayload::from_bytes(bytes);
            watched(client.put_opts(&self.path, payload, options))
                .await
                .map(drop)
        })
    }

    fn delete(&self) -> Doing<'_, ()> {
        Box::pin(async move {
            let make = || self.blob.request(Method::DELETE, true, &[]);
            match rest::repeated(&self.outbound, make).await {
                Err(failure) if failure.kind == FailureKind::NotFound => Ok(()),
                result => result.map(drop),
            }
        })
    }

    fn signed<'a>(&'a self, ttl: Duration, _: &'a str) -> Doing<'a, Joined> {
        Box::pin(async move {
            if let Some(given) = &self.blob.given {
                return Ok(given.clone());
            }
            let blob = &self.blob;
            let query = match &blob.credentials {
                Credentials::SharedKey(key) => {
                    let now = Timestamp::now();
                    let ttl = SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX);
                    key.read_signature(
                        &blob.container,
                        &blob.blob,
                        now.saturating_sub(EARLIER).unwrap_or(now),
                        now.saturating_add(ttl).unwrap_or(now),
                    )
                }
                Credentials::Signature(token) => token.trim_start_matches('?').to_owned(),
                Credentials::None => String::new(),
            };
            Ok(Joined {
                base_location: format!("{}/", blob.endpoint),
                relative_location: format!("{}/{}", blob.container, encoded_path(&blob.blob)),
                sas_blob_token: match query.as_str() {
                    "" => query,
                    query => format!("?{query}"),
                },
            })
        })
    }

    fn create_container(&self) -> Doing<'_, ()> {
        Box::pin(async move {
            let make = || {
                let query = [("restype", "container")];
                self.blob.request(Method::PUT, false, &query)
            };
            match rest::repeated(&self.outbound, make).await {
                Err(failure) if failure.kind == FailureKind::Exists => Ok(()),
                result => result.map(drop),
            }
        })
    }
}

/// A blob that is put together of blocks. Each attempt at a part is a block of its own name, so a
/// late one takes nothing from the one that counts.
struct Blocks {
    client: MicrosoftAzure,
    path: Path,
    content_type: String,
    blob: AzureBlob,
    outbound: Outbound,
}

impl Blocks {
    /// Whether the blob consists of these blocks already.
    async fn consists_of(&self, parts: &[Part]) -> Result<bool, Failure> {
        let make = || {
            let query = [("blocklisttype", "committed"), ("comp", "blocklist")];
            self.blob.request(Method::GET, true, &query)
        };
        let reply = rest::repeated(&self.outbound, make).await?;
        let text = String::from_utf8_lossy(&reply.body);
        let names = text
            .split("<Name>")
            .skip(1)
            .map(|rest| rest.split("</Name>").next().unwrap_or_default());
        let wanted = parts.iter().map(|part| base64::encode(part.0.as_bytes()));
        Ok(names.eq(wanted))
    }
}

impl Upload for Blocks {
    fn token(&self) -> String {
        format!("azure\n{}", self.content_type)
    }

    fn limits(&self) -> PartLimits {
        LIMITS
    }

    fn stage(&self, number: u32, _: u32, bytes: Bytes) -> Doing<'_, Part> {
        Box::pin(async move {
            let (id, payload) = (String::new(), PutPayload::from_bytes(bytes));
            let number = number as usize;
            let part = watched(self.client.put_part(&self.path, &id, number, payload)).await?;
            Ok(Part(part.content_id))
        })
    }

    fn commit<'a>(&'a self, parts: &'a [Part]) -> Doing<'a, ()> {
        Box::pin(async move {
            let ids = parts.iter().map(|part| PartId {
                content_id: part.0.clone(),
            });
            let upload = String::new();
            let commit = self
                .client
                .complete_multipart(&self.path, &upload, ids.collect());
            match watched(commit).await {
                // The blocks are no longer uncommitted when they were committed before.
                Err(failure) if failure.code.as_deref() == Some("InvalidBlockList") => {
                    match self.consists_of(parts).await {
                        Ok(true) => Ok(()),
                        Ok(false) => Err(failure),
                        Err(other) if other.transient => Err(other),
                        Err(_) => Err(failure),
                    }
                }
                result => result.map(drop),
            }
        })
    }

    fn abort(&self) -> Doing<'_, ()> {
        // Blocks that no list names are not seen, and there is no call to drop them: the service
        // does so by itself.
        Box::pin(async { Ok(()) })
    }
}
