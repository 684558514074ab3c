//! Azure storage, as Azurite has it.

use storage::{BlobReference, FailureKind, Options, Purpose, Storage};

use crate::azurite::{Azurite, KEY, connection};
use crate::cases;
use crate::place::{Place, locate, patient, pattern, read, says};

const CONTAINER: &str = "con-1";
const CSV: &str = "text/csv";
const FOREVER: &str = "2099-01-01T00:00:00Z";
const NO_BLOB: (&str, &str) = ("BlobNotFound", "The specified blob does not exist.");
const NO_CONTAINER: (&str, &str) = (
    "ContainerNotFound",
    "The specified container does not exist.",
);

fn by_connection(connection: &str, relative: &str) -> BlobReference {
    BlobReference {
        connection_string: Some(connection.to_owned()),
        relative_location: Some(relative.to_owned()),
        ..BlobReference::default()
    }
}

fn by_signature(base: &str, relative: &str, signature: &str) -> BlobReference {
    BlobReference {
        base_location: Some(base.to_owned()),
        relative_location: Some(relative.to_owned()),
        sas_blob_token: Some(format!("?{signature}")),
        ..BlobReference::default()
    }
}

async fn with_container(azurite: &Azurite, storage: &Storage) {
    let reference = by_connection(&azurite.connection(), &format!("{CONTAINER}/x"));
    let at = locate(storage, &reference);
    storage.create_container(&at).await.unwrap();
    // It is there already.
    storage.create_container(&at).await.unwrap();
}

#[tokio::test]
async fn by_the_accounts_key() {
    let Some(azurite) = Azurite::start() else {
        return;
    };
    let (storage, folder) = patient(Options::default());
    with_container(&azurite, &storage).await;
    let connection = azurite.connection();
    let stray = by_connection(&connection, "no-such-one/a.csv");
    cases::all(&Place {
        storage,
        blob: Box::new(move |name| by_connection(&connection, &format!("/{CONTAINER}/{name}"))),
        stray: Some(stray),
        no_blob: NO_BLOB,
        no_container: NO_CONTAINER,
        keeps_metadata: true,
        part: 100_000,
        remembers: false,
        _store: folder,
    })
    .await;
}

#[tokio::test]
async fn by_a_signature() {
    let Some(azurite) = Azurite::start() else {
        return;
    };
    let (storage, folder) = patient(Options::default());
    with_container(&azurite, &storage).await;
    let base = format!("{}/", azurite.endpoint());
    let signature = azurite.signature(CONTAINER, "racwdl", FOREVER);
    let stray = azurite.signature("no-such-one", "racwdl", FOREVER);
    let stray = by_signature(&base, "no-such-one/a.csv", &stray);
    cases::all(&Place {
        storage,
        blob: Box::new(move |name| {
            let escaped: String = name
                .bytes()
                .map(|b| match b.is_ascii_alphanumeric() || b"/.".contains(&b) {
                    true => char::from(b).to_string(),
                    false => format!("%{b:02X}"),
                })
                .collect();
            by_signature(&base, &format!("{CONTAINER}/{escaped}"), &signature)
        }),
        stray: Some(stray),
        no_blob: NO_BLOB,
        no_container: NO_CONTAINER,
        keeps_metadata: true,
        part: 1000,
        remembers: false,
        _store: folder,
    })
    .await;
}

#[tokio::test]
async fn by_this_installations_own_credentials_and_by_a_signature_in_a_connection_string() {
    let Some(azurite) = Azurite::start() else {
        return;
    };
    let credentials = vec![(
        "AZURE_STORAGE_CONNECTION_STRING".to_owned(),
        azurite.connection(),
    )];
    let roots = vec![
        format!("az://devstoreaccount1/{CONTAINER}")
            .parse()
            .unwrap(),
    ];
    let (storage, _folder) = patient(Options { roots, credentials });
    with_container(&azurite, &storage).await;
    let own = BlobReference {
        relative_location: Some(format!("az://devstoreaccount1/{CONTAINER}/x/a.csv")),
        ..BlobReference::default()
    };
    let own = locate(&storage, &own);
    let content = pattern(1000, 1);
    storage.put(&own, CSV, content.clone()).await.unwrap();
    let signature = azurite.signature(CONTAINER, "r", FOREVER);
    let text = format!(
        "BlobEndpoint={};SharedAccessSignature={signature}",
        azurite.endpoint()
    );
    let at = locate(
        &storage,
        &by_connection(&text, &format!("{CONTAINER}/x/a.csv")),
    );
    assert_eq!(read(&storage, &at).await.unwrap(), content);
    // The signature that the caller gave is returned as given.
    let shown = storage
        .signed(&at, std::time::Duration::from_secs(9), "")
        .await;
    let shown = shown.unwrap();
    assert_eq!(shown.sas_blob_token, format!("?{signature}"));
    assert_eq!(shown.base_location, format!("{}/", azurite.endpoint()));
    assert_eq!(shown.relative_location, format!("{CONTAINER}/x/a.csv"));
}

/// What Azurite says to credentials that are not right. Azure itself has `AuthenticationFailed`
/// as the code of some of them.
#[tokio::test]
async fn credentials_that_do_not_allow_it() {
    let Some(azurite) = Azurite::start() else {
        return;
    };
    let (storage, _folder) = patient(Options::default());
    with_container(&azurite, &storage).await;
    let relative = format!("{CONTAINER}/a.csv");
    let good = locate(&storage, &by_connection(&azurite.connection(), &relative));
    storage.put(&good, CSV, pattern(10, 1)).await.unwrap();
    let base = format!("{}/", azurite.endpoint());
    let signed = |permissions: &str, until: &str| {
        let signature = azurite.signature(CONTAINER, permissions, until);
        locate(&storage, &by_signature(&base, &relative, &signature))
    };
    let wrong_key = format!("AAAA{}", &KEY[4..]);
    let wrong = connection(&azurite.endpoint(), &wrong_key);
    let wrong = locate(&storage, &by_connection(&wrong, &relative));
    let refused = (
        "AuthorizationFailure",
        "Server failed to authenticate the request.",
    );
    let expired = signed("racwdl", "2020-01-01T00:00:00Z");
    let no_write = signed("r", FOREVER);
    let no_read = signed("w", FOREVER);
    for at in [&wrong, &expired, &no_read] {
        let failure = read(&storage, at).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Refused, "{failure:?}");
        if at != &no_read {
            says(&failure, refused);
        }
        let fault = failure.clone().into_fault(Purpose::Input("i"), at);
        assert_eq!(fault.name(), "BadArgument.BlobNotFound");
        for secret in ["sig=", &wrong_key[..12], "SharedKey"] {
            let text = format!("{failure:?} {fault:?}");
            assert!(!text.contains(secret), "{text}");
        }
    }
    assert_eq!(read(&storage, &no_write).await.unwrap(), pattern(10, 1));
    for at in [&wrong, &expired, &no_write] {
        let failure = storage.probe(at).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Refused, "{failure:?}");
        let failure = storage.put(at, CSV, pattern(1, 1)).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Refused, "{failure:?}");
        let fault = failure.into_fault(Purpose::Output("o"), at);
        assert_eq!(fault.name(), "BadArgument.ContainerValidationFailed");
    }
    assert_eq!(read(&storage, &good).await.unwrap(), pattern(10, 1));
}
