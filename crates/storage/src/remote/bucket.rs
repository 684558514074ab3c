//! Buckets: S3 and what speaks like it, and Google Cloud Storage. They are reached with this
//! installation's own credentials.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::client::{HttpRequest, HttpRequestBody};
use object_store::gcp::{GcpCredentialProvider, GoogleCloudStorageBuilder};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::{Method, SignedUrlOptions, Signer, Url};
use object_store::{
    Attribute, Attributes, GetOptions, HeaderValue, ObjectStore, ObjectStoreExt as _,
    PutMultipartOptions, PutOptions, PutPayload,
};
use outbound::{Outbound, Said};
use store::Id;

use super::connector::{Connector, Last, failure_of, patience, watched};
use super::reading::{open, path_of};
use super::{Clouds, rest};
use crate::adapter::{Adapter, Doing};
use crate::staging::Upload;
use crate::text::{encoded_path, encoded_query};
use crate::{Failure, FailureKind, Joined, Part, PartLimits, Source, Staging};

/// Where Google's buckets are.
const GOOGLE: &str = "https://storage.googleapis.com";
/// The metadata that tells which upload a blob comes from.
const MARKER: &str = "umpire-upload";
/// How many attempts at a part have a number of their own.
const ATTEMPTS: u32 = 4;
/// Both services know 10,000 numbers.
const LIMITS: PartLimits = PartLimits {
    min: 5 << 20,
    max: 5 << 30,
    most: 10_000 / ATTEMPTS,
};
/// How long a request that is signed ahead may take.
const SOON: Duration = Duration::from_secs(15 * 60);

/// A bucket that was opened.
pub(super) struct Bucket {
    kind: Kind,
    objects: Arc<dyn ObjectStore>,
    parts: Arc<dyn MultipartStore>,
    signer: Arc<dyn Signer>,
    outbound: Outbound,
}

/// How the request is made that completes an upload. `object_store`'s own counts the parts.
enum Kind {
    /// By a signed URL.
    S3,
    /// By a token.
    Gcs {
        /// Where the bucket is.
        url: String,
        tokens: GcpCredentialProvider,
    },
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bucket")
    }
}

impl Bucket {
    fn new<T>(kind: Kind, client: T, outbound: &Outbound) -> Bucket
    where
        T: ObjectStore + MultipartStore + Signer,
    {
        let client = Arc::new(client);
        Bucket {
            kind,
            objects: client.clone(),
            parts: client.clone(),
            signer: client,
            outbound: outbound.clone(),
        }
    }
}

type Pairs = [(String, String)];

/// What does the work at a blob of S3.
pub(crate) fn s3(
    clouds: &Clouds,
    credentials: &Pairs,
    bucket: &str,
    key: &str,
) -> Result<Box<dyn Adapter>, Failure> {
    let opened = clouds.bucket(&format!("s3://{bucket}"), || {
        let mut builder = AmazonS3Builder::new();
        for (name, value) in credentials.iter().filter(|(n, _)| n.starts_with("AWS_")) {
            if let Ok(setting) = name.to_ascii_lowercase().parse() {
                builder = builder.with_config(setting, value);
            }
        }
        let client = builder
            .with_bucket_name(bucket)
            // The allow-list says where plain HTTP may be spoken.
            .with_allow_http(true)
            // Not all that speak like S3 delete in bulk.
            .with_disable_bulk_delete(true)
            .with_retry(patience(&clouds.outbound))
            .with_http_connector(Connector(clouds.outbound.clone()))
            .build()
            .map_err(|error| failure_of(&error, &Last::default()))?;
        Ok(Bucket::new(Kind::S3, client, &clouds.outbound))
    })?;
    blob(opened, key)
}

/// What does the work at a blob of Google Cloud Storage.
pub(crate) fn gcs(
    clouds: &Clouds,
    credentials: &Pairs,
    bucket: &str,
    key: &str,
) -> Result<Box<dyn Adapter>, Failure> {
    let opened = clouds.bucket(&format!("gs://{bucket}"), || {
        let mut builder = GoogleCloudStorageBuilder::new();
        for (name, value) in credentials.iter().filter(|(n, _)| n.starts_with("GOOGLE_")) {
            if let Ok(setting) = name.to_ascii_lowercase().parse() {
                builder = builder.with_config(setting, value);
            }
        }
        let client = builder
            .with_bucket_name(bucket)
            .with_retry(patience(&clouds.outbound))
            .with_http_connector(Connector(clouds.outbound.clone()))
            .build()
            .map_err(|error| failure_of(&error, &Last::default()))?;
        let base = credentials.iter().find(|(n, _)| n == "GOOGLE_BASE_URL");
        let base = base.map_or(GOOGLE, |(_, url)| url.trim_end_matches('/'));
        let kind = Kind::Gcs {
            url: format!("{base}/{bucket}"),
            tokens: client.credentials().clone(),
        };
        Ok(Bucket::new(kind, client, &clouds.outbound))
    })?;
    blob(opened, key)
}

fn blob(bucket: Arc<Bucket>, key: &str) -> Result<Box<dyn Adapter>, Failure> {
    let path = path_of(key)?;
    Ok(Box::new(Object { bucket, path }))
}

struct Object {
    bucket: Arc<Bucket>,
    path: Path,
}

impl Object {
    async fn upload(&self, content_type: &str) -> Result<Parts, Failure> {
        let marker = Id::random().to_string();
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::ContentType, content_type.to_owned().into());
        attributes.insert(Attribute::Metadata(MARKER.into()), marker.clone().into());
        let options = PutMultipartOptions {
            attributes,
            ..PutMultipartOptions::default()
        };
        let begin = self.bucket.parts.create_multipart_opts(&self.path, options);
        Ok(Parts {
            id: watched(begin).await?,
            bucket: self.bucket.clone(),
            path: self.path.clone(),
            marker,
        })
    }
}

impl Adapter for Object {
    fn open(&self) -> Doing<'_, Source> {
        Box::pin(open(self.bucket.objects.clone(), self.path.clone()))
    }

    fn probe(&self) -> Doing<'_, ()> {
        Box::pin(async move { self.upload("application/octet-stream").await?.abort().await })
    }

    fn begin<'a>(&'a self, content_type: &'a str) -> Doing<'a, Staging> {
        Box::pin(async move { Ok(Staging::new(self.upload(content_type).await?)) })
    }

    fn resume<'a>(&'a self, token: &'a str) -> Doing<'a, Staging> {
        Box::pin(async move {
            let mut lines = token.splitn(3, '\n');
            match (lines.next(), lines.next(), lines.next()) {
                (Some("bucket"), Some(marker), Some(id)) => Ok(Staging::new(Parts {
                    bucket: self.bucket.clone(),
                    path: self.path.clone(),
                    marker: marker.to_owned(),
                    id: id.to_owned(),
                })),
                _ => Err(Failure::new(
                    FailureKind::BadName,
                    "the token is of another kind of storage",
                )),
            }
        })
    }

    fn put<'a>(&'a self, content_type: &'a str, bytes: Bytes) -> Doing<'a, ()> {
        Box::pin(async move {
            let mut options = PutOptions::default();
            let value = content_type.to_owned().into();
            options.attributes.insert(Attribute::ContentType, value);
            let payload = PutPayload::from_bytes(bytes);
            let put = self.bucket.objects.put_opts(&self.path, payload, options);
            watched(put).await.map(drop)
        })
    }

    fn delete(&self) -> Doing<'_, ()> {
        Box::pin(async move {
            match watched(self.bucket.objects.delete(&self.path)).await {
                // A missing bucket is another matter than a missing blob, and as harmless.
                Err(failure) if failure.kind == FailureKind::NotFound => Ok(()),
                result => result,
            }
        })
    }

    fn signed<'a>(&'a self, ttl: Duration, _: &'a str) -> Doing<'a, Joined> {
        Box::pin(async move {
            let sign = self.bucket.signer.signed_url(Method::GET, &self.path, ttl);
            Ok(joined(&watched(sign).await?))
        })
    }
}

/// A signed URL in three strings.
fn joined(url: &Url) -> Joined {
    let text = url.as_str();
    let (rest, query) = text.split_once('?').unwrap_or((text, ""));
    let path = url.path().trim_start_matches('/');
    let base = rest.strip_suffix(path).unwrap_or(rest);
    Joined {
        base_location: base.to_owned(),
        relative_location: rest.get(base.len()..).unwrap_or_default().to_owned(),
        sas_blob_token: match query {
            "" => String::new(),
            query => format!("?{query}"),
        },
    }
}

/// A blob that is put together by a multipart upload.
struct Parts {
    bucket: Arc<Bucket>,
    path: Path,
    /// Stands on the blob that comes of the upload, so that a second commit knows its own.
    marker: String,
    id: String,
}

impl Parts {
    /// The number under which an attempt at a part is staged, from 0. Numbers need only ascend, so
    /// a late attempt gets one that is not asked for.
    fn index(&self, number: u32, attempt: u32) -> Result<usize, Failure> {
        if number >= LIMITS.most {
            let text = format!("there are more than {} parts", LIMITS.most);
            return Err(Failure::new(FailureKind::Full, text));
        }
        Ok((number * ATTEMPTS + attempt % ATTEMPTS) as usize)
    }

    async fn complete(&self, parts: &[Part]) -> Result<(), Failure> {
        let empty;
        let parts = match parts {
            // There is no upload without a part.
            [] => {
                empty = [self.stage(0, 0, Bytes::new()).await?];
                &empty
            }
            parts => parts,
        };
        let mut body = "<CompleteMultipartUpload>".to_owned();
        for part in parts {
            let named = part.0.split_once(' ');
            let (number, etag) = named.ok_or_else(|| {
                Failure::new(FailureKind::BadName, "a part is of another kind of storage")
            })?;
            let etag = etag.replace('&', "&amp;").replace('<', "&lt;");
            body.push_str(&format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            ));
        }
        body.push_str("</CompleteMultipartUpload>");
        let body = Bytes::from(body);
        let (url, token) = self.where_to_complete().await?;
        let make = || {
            let wrong = || Failure::new(FailureKind::BadName, "the blob's URL cannot be read");
            let mut request = HttpRequest::new(HttpRequestBody::from(body.clone()));
            *request.method_mut() = Method::POST;
            *request.uri_mut() = url.parse().map_err(|_| wrong())?;
            if let Some(token) = &token {
                let value = HeaderValue::from_str(&format!("Bearer {token}"));
                let mut value = value.map_err(|_| wrong())?;
                value.set_sensitive(true);
                request.headers_mut().insert("authorization", value);
            }
            Ok(request)
        };
        let reply = rest::repeated(&self.bucket.outbound, make).await?;
        // This call's status is sent before its end is known.
        let said = Said::read(&reply.body);
        match said.code {
            Some(_) => Err(Failure::answered(500, said)),
            None => Ok(()),
        }
    }

    /// The URL of the request that completes the upload, and a token where it is not signed.
    async fn where_to_complete(&self) -> Result<(String, Option<String>), Failure> {
        match &self.bucket.kind {
            Kind::S3 => {
                let options = SignedUrlOptions::new().with_query([("uploadId", self.id.as_str())]);
                let sign =
                    self.bucket
                        .signer
                        .signed_url_opts(Method::POST, &self.path, SOON, &options);
                Ok((watched(sign).await?.to_string(), None))
            }
            Kind::Gcs { url, tokens } => {
                let url = format!(
                    "{url}/{}?uploadId={}",
                    encoded_path(self.path.as_ref()),
                    encoded_query(&self.id)
                );
                let credential = watched(tokens.get_credential()).await?;
                Ok((url, Some(credential.bearer.clone())))
            }
        }
    }

    /// Whether the blob that is there comes of this upload.
    async fn is_done(&self) -> Result<bool, Failure> {
        let head = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        let answer = watched(self.bucket.objects.get_opts(&self.path, head)).await?;
        let marker = answer.attributes.get(&Attribute::Metadata(MARKER.into()));
        Ok(marker.is_some_and(|marker| **marker == *self.marker))
    }
}

impl Upload for Parts {
    fn token(&self) -> String {
        format!("bucket\n{}\n{}", self.marker, self.id)
    }

    fn limits(&self) -> PartLimits {
        LIMITS
    }

    fn stage(&self, number: u32, attempt: u32, bytes: Bytes) -> Doing<'_, Part> {
        Box::pin(async move {
            let index = self.index(number, attempt)?;
            let payload = PutPayload::from_bytes(bytes);
            let put = self
                .bucket
                .parts
                .put_part(&self.path, &self.id, index, payload);
            let part = watched(put).await?;
            Ok(Part(format!("{} {}", index + 1, part.content_id)))
        })
    }

    fn commit<'a>(&'a self, parts: &'a [Part]) -> Doing<'a, ()> {
        Box::pin(async move {
            match self.complete(parts).await {
                Ok(()) => Ok(()),
                // The upload is gone when it was committed before, by us or by an attempt whose
                // answer got lost.
                Err(failure) => match self.is_done().await {
                    Ok(true) => Ok(()),
                    Err(other) if other.transient => Err(other),
                    _ => Err(failure),
                },
            }
        })
    }

    fn abort(&self) -> Doing<'_, ()> {
        Box::pin(async move {
            let abort = self.bucket.parts.abort_multipart(&self.path, &self.id);
            match watched(abort).await {
                Err(failure) if failure.kind == FailureKind::NotFound => Ok(()),
                result => result,
            }
        })
    }
}
