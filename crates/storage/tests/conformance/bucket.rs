//! Buckets, as moto has them.

use storage::{BlobReference, FailureKind, Options};

use crate::cases;
use crate::place::{Place, locate, patient, pattern, read, says};
use crate::s3::S3;

const CSV: &str = "text/csv";

fn options(s3: &S3) -> Options {
    Options {
        roots: ["s3://bucket-1", "s3://no-such-bucket"]
            .map(|root| root.parse().unwrap())
            .to_vec(),
        credentials: s3.credentials(),
    }
}

fn reference(url: String) -> BlobReference {
    BlobReference {
        relative_location: Some(url),
        ..BlobReference::default()
    }
}

#[tokio::test]
async fn by_this_installations_credentials() {
    let Some(s3) = S3::start() else { return };
    s3.create_bucket("bucket-1");
    let (storage, folder) = patient(options(&s3));
    cases::all(&Place {
        storage,
        blob: Box::new(|name| reference(format!("s3://bucket-1/in/{name}"))),
        stray: Some(reference("s3://no-such-bucket/a.csv".into())),
        no_blob: ("NoSuchKey", "The specified key does not exist."),
        no_container: ("NoSuchBucket", "The specified bucket does not exist"),
        keeps_metadata: true,
        part: 5 << 20,
        remembers: false,
        _store: folder,
    })
    .await;
}

#[tokio::test]
async fn credentials_that_nobody_knows() {
    let Some(s3) = S3::strict() else { return };
    let (storage, _folder) = patient(options(&s3));
    let at = locate(&storage, &reference("s3://bucket-1/a.csv".into()));
    let failures = [
        read(&storage, &at).await.unwrap_err(),
        storage.probe(&at).await.unwrap_err(),
        storage.put(&at, CSV, pattern(1, 1)).await.unwrap_err(),
    ];
    for failure in failures {
        assert_eq!(failure.kind, FailureKind::Refused, "{failure:?}");
        let said = (
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        );
        says(&failure, said);
        assert!(!format!("{failure:?}").contains("no-secret-at-all"));
    }
}

/// Google's service speaks S3's language but for signatures and the names of headers, and there is
/// no emulator of it to be had that takes uploads in parts: here moto answers in its place.
#[tokio::test]
async fn googles_by_a_token() {
    let Some(s3) = S3::start() else { return };
    s3.create_bucket("bucket1");
    let options = Options {
        roots: ["gs://bucket1", "gs://nosuchbucket"]
            .map(|root| root.parse().unwrap())
            .to_vec(),
        credentials: [
            ("GOOGLE_BASE_URL", s3.endpoint()),
            ("GOOGLE_BEARER_TOKEN", "token".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec(),
    };
    let (storage, folder) = patient(options);
    cases::unsigned(&Place {
        storage,
        blob: Box::new(|name| reference(format!("gs://bucket1/in/{name}"))),
        stray: Some(reference("gs://nosuchbucket/a.csv".into())),
        no_blob: ("NoSuchKey", "The specified key does not exist."),
        no_container: ("NoSuchBucket", "The specified bucket does not exist"),
        keeps_metadata: false,
        part: 5 << 20,
        remembers: false,
        _store: folder,
    })
    .await;
}
