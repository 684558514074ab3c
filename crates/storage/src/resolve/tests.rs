use faults::rows::BadArgument as Row;
use outbound::Outbound;

use super::*;
use crate::{Options, Root};

const KEY: &str = "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=a2V5";
const SAS: &str = "?sv=2021-08-06&sr=b&sp=r&sig=a%2Fb%3D";
const BASE: &str = "https://acct.blob.core.windows.net/";

fn storage() -> (tempfile::TempDir, Storage) {
    let folder = tempfile::tempdir().unwrap();
    let store = store::Store::open(folder.path(), None).unwrap();
    let outbound = Outbound::new(outbound::Options {
        allow: [
            "*.blob.core.windows.net",
            "http://localhost",
            "data.example",
        ]
        .iter()
        .map(|entry| entry.parse().unwrap())
        .collect(),
        ..outbound::Options::default()
    })
    .unwrap();
    let roots = [
        "s3://bucket",
        "gs://bucket_2/in",
        "az://acct/con",
        "file:///srv/data",
    ];
    let options = Options {
        roots: roots.map(|root| root.parse::<Root>().unwrap()).to_vec(),
        credentials: [
            ("AZURE_STORAGE_ACCOUNT", "acct"),
            ("AZURE_STORAGE_KEY", "a2V5"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
    };
    (
        folder,
        Storage::new(options, outbound, std::sync::Arc::new(store)),
    )
}

fn reference(connection: &str, base: &str, relative: &str, token: &str) -> BlobReference {
    // A blank part and an absent one are the same; both occur.
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    BlobReference {
        connection_string: given(connection),
        base_location: given(base),
        relative_location: Some(relative.to_owned()),
        sas_blob_token: given(token),
    }
}

#[test]
fn what_is_wrong_with_a_reference_is_told_in_order() {
    let (_folder, storage) = storage();
    let no_blob = &Row::InputBlobRelativeLocationInvalid;
    let long = format!("con/{}.csv", "x".repeat(1021));
    for (connection, base, relative, token, row) in [
        ("", "", "", "", &Row::MissingInputBlobInformation),
        (" ", " ", " ", " ", &Row::MissingInputBlobInformation),
        // The connection string comes before all else.
        ("x", "ftp://h", "", "no", &Row::InvalidBlobConnectionString),
        (
            "AccountName=a",
            "",
            "con/a.csv",
            "",
            &Row::InvalidBlobConnectionString,
        ),
        (
            "AccountKey=a2V5",
            "",
            "con/a.csv",
            "",
            &Row::InvalidBlobConnectionString,
        ),
        (
            "AccountName=a;AccountKey=%",
            "",
            "con/a.csv",
            "",
            &Row::InvalidBlobConnectionString,
        ),
        (
            "BlobEndpoint=ftp://h",
            "",
            "con/a.csv",
            "",
            &Row::InvalidBlobConnectionString,
        ),
        (
            "BlobEndpoint=https://u@h",
            "",
            "con/a.csv",
            "",
            &Row::InvalidBlobConnectionString,
        ),
        (
            "BlobEndpoint=https://acct.blob.core.windows.net;SharedAccessSignature=none",
            "",
            "con/a.csv",
            "",
            &Row::InvalidBlobConnectionString,
        ),
        // Both forms at once, and forms that are none.
        (KEY, BASE, "", "", &Row::InvalidBlob),
        (KEY, "", "", SAS, &Row::InvalidBlob),
        (KEY, BASE, "con/a.csv", SAS, &Row::InvalidBlob),
        ("", "", "", SAS, &Row::InvalidBlob),
        ("", "", "con/a.csv", SAS, &Row::InvalidBlob),
        (
            "",
            "acct.blob.core.windows.net/",
            "",
            SAS,
            &Row::InvalidBlob,
        ),
        ("", "https:///", "", SAS, &Row::InvalidBlob),
        ("", "https://a b/", "con/a.csv", SAS, &Row::InvalidBlob),
        (
            "",
            "https://acct.blob.core.windows.net/?x=1",
            "con/a.csv",
            SAS,
            &Row::InvalidBlob,
        ),
        ("", BASE, "", "no query", &Row::InvalidBlob),
        ("", BASE, "con/a.csv", "nothing", &Row::InvalidBlob),
        ("", BASE, "con/a.csv?x=1", SAS, &Row::InvalidBlob),
        ("", BASE, "con/%ff.csv", SAS, &Row::InvalidBlob),
        // Hosts and places that are not allowed.
        (
            "",
            "ftp://acct.blob.core.windows.net/",
            "",
            SAS,
            &Row::InvalidBlob,
        ),
        (
            "",
            "http://acct.blob.core.windows.net/",
            "",
            SAS,
            &Row::InvalidBlob,
        ),
        ("", "https://other.example/", "", SAS, &Row::InvalidBlob),
        ("", "https://10.0.0.1/", "con/a.csv", SAS, &Row::InvalidBlob),
        (
            "AccountName=a;AccountKey=a2V5;EndpointSuffix=x.example",
            "",
            "",
            "",
            &Row::InvalidBlob,
        ),
        ("", "", "ftp://h/con/a.csv", "", &Row::InvalidBlob),
        ("", "", "https://other.example/a.csv", "", &Row::InvalidBlob),
        (
            "",
            "",
            "https://u:p@data.example/a.csv",
            "",
            &Row::InvalidBlob,
        ),
        ("", "", "s3://another/a.csv", "", &Row::InvalidBlob),
        ("", "", "s3://bucket2/a.csv", "", &Row::InvalidBlob),
        (
            "",
            "",
            "s3://bucket/../another/a.csv",
            "",
            &Row::InvalidBlob,
        ),
        ("", "", "gs://bucket_2/out/a.csv", "", &Row::InvalidBlob),
        ("", "", "az://acct/con2/a.csv", "", &Row::InvalidBlob),
        ("", "", "file:///etc/passwd", "", &Row::InvalidBlob),
        ("", "", "file:///srv/data/../a.csv", "", &Row::InvalidBlob),
        ("", "", "file://host/srv/data/a.csv", "", &Row::InvalidBlob),
        // Blob container and blob.
        (KEY, "", "", "", no_blob),
        ("", BASE, "", SAS, no_blob),
        (KEY, "", "//a.csv", "", &Row::ContainerIsEmpty),
        ("", BASE, "/", SAS, &Row::ContainerIsEmpty),
        ("", "", "//a.csv", "", &Row::ContainerIsEmpty),
        (KEY, "", "Con/a.csv", "", &Row::ContainerSegmentInvalid),
        (KEY, "", "co/a.csv", "", &Row::ContainerSegmentInvalid),
        ("", BASE, "con_1/a.csv", SAS, &Row::ContainerSegmentInvalid),
        ("", "", "a--b/a.csv", "", &Row::ContainerSegmentInvalid),
        (KEY, "", "con", "", no_blob),
        (KEY, "", "/con/", "", no_blob),
        ("", BASE, "con/folder/", SAS, no_blob),
        ("", "", "con", "", no_blob),
        ("", "", "s3://bucket/", "", no_blob),
        ("", "", "az://acct/con/", "", no_blob),
        ("", "", "https://data.example/", "", no_blob),
        (KEY, "", "con/../a.csv", "", &Row::InvalidBlob),
        (KEY, "", "con/x//a.csv", "", &Row::InvalidBlob),
        (KEY, "", "con/x\\a.csv", "", &Row::InvalidBlob),
        (KEY, "", &long, "", &Row::InvalidBlob),
        // The extension comes last.
        (KEY, "", "con/a", "", &Row::InvalidBlobExtension),
        (KEY, "", "con/a.xlsx", "", &Row::InvalidBlobExtension),
        (KEY, "", "con/.csv", "", &Row::InvalidBlobExtension),
        (KEY, "", "con/a.csv/b", "", &Row::InvalidBlobExtension),
        ("", BASE, "con/a.ilearner", SAS, &Row::InvalidBlobExtension),
        ("", "", "con/a.gz", "", &Row::InvalidBlobExtension),
        ("", "", "s3://bucket/a.json", "", &Row::InvalidBlobExtension),
    ] {
        let given = reference(connection, base, relative, token);
        let purpose = Purpose::Input("input1");
        let fault = storage.resolve(&given, Id([1; 16]), purpose).unwrap_err();
        assert!(fault.is(row), "{given:?}: {}", fault.name());
        assert!(fault.details()[0].target.as_deref() == Some("input1"));
        for secret in ["a2V5", "sig=", "a%2Fb", "u:p"] {
            assert!(
                !format!("{fault:?}").contains(secret),
                "{given:?} {fault:?}"
            );
        }
    }
}

#[test]
fn of_what_is_written_other_rows_are_true() {
    let (_folder, storage) = storage();
    let resolve = |relative: &str, connection: &str, purpose| {
        let given = reference(connection, "", relative, "");
        storage.resolve(&given, Id([1; 16]), purpose)
    };
    let (out, model) = (Purpose::Output("o"), Purpose::Model("m"));
    for (relative, connection, purpose, row) in [
        ("", "", out, &Row::MissingOutputOverrideSpecification),
        ("", "", model, &Row::MissingOutputOverrideSpecification),
        ("", KEY, out, &Row::InvalidBlob),
        ("con", KEY, out, &Row::InvalidBlob),
        ("con/a", "", out, &Row::InvalidBlobExtension),
        ("con/m.csv", "", model, &Row::InvalidBlobExtension),
        ("con/m.ilearner", "", out, &Row::InvalidBlobExtension),
    ] {
        let fault = resolve(relative, connection, purpose).unwrap_err();
        assert!(fault.is(row), "{relative}: {}", fault.name());
    }
    resolve("con/m.iLearner", KEY, model).unwrap();
    resolve("con/a.CSV.Zst", KEY, out).unwrap();
    resolve("con/any name", KEY, Purpose::Record).unwrap();
    assert!(resolve("con", KEY, Purpose::Record).is_err());
}

#[test]
fn a_good_reference_leads_somewhere() {
    let (_folder, storage) = storage();
    for (connection, base, relative, token, shown, name) in [
        (
            KEY,
            "",
            "/con/in/a b.csv",
            "",
            "https://acct.blob.core.windows.net/con/in/a b.csv",
            "a b.csv",
        ),
        // In the other form the relative location is a part of a URL.
        (
            "",
            BASE,
            "con/a%20b.nh.csv",
            SAS,
            "https://acct.blob.core.windows.net/con/a b.nh.csv",
            "a b.nh.csv",
        ),
        (
            "",
            "https://acct.blob.core.windows.net",
            "con/a.tsv.gz",
            SAS,
            "https://acct.blob.core.windows.net/con/a.tsv.gz",
            "a.tsv.gz",
        ),
        (
            "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://localhost",
            "",
            "con/a.arff",
            "",
            "http://localhost:10000/devstoreaccount1/con/a.arff",
            "a.arff",
        ),
        (
            "BlobEndpoint=http://localhost:7/acct;SharedAccessSignature=sv=1&sig=x",
            "",
            "$root/a.csv",
            "",
            "http://localhost:7/acct/$root/a.csv",
            "a.csv",
        ),
        (
            "",
            "https://data.example/",
            "con/a.parquet",
            "",
            "https://data.example/con/a.parquet",
            "a.parquet",
        ),
        (
            "",
            "",
            "https://data.example/a.csv?X-Amz-Signature=x",
            "",
            "https://data.example/a.csv",
            "a.csv",
        ),
        (
            "",
            "",
            "https://acct.blob.core.windows.net/con/a.csv?sp=r&sig=x",
            "",
            "https://acct.blob.core.windows.net/con/a.csv",
            "a.csv",
        ),
        (
            "",
            "",
            "S3://bucket/x/a.csv",
            "",
            "s3://bucket/x/a.csv",
            "a.csv",
        ),
        (
            "",
            "",
            "gs://bucket_2/in/a.csv",
            "",
            "gs://bucket_2/in/a.csv",
            "a.csv",
        ),
        (
            "",
            "",
            "az://acct/con/a.csv",
            "",
            "https://acct.blob.core.windows.net/con/a.csv",
            "a.csv",
        ),
        (
            "",
            "",
            "file:///srv/data/x/a.csv",
            "",
            "file:///srv/data/x/a.csv",
            "a.csv",
        ),
        (
            "",
            "",
            "con/x/a.csv.zst",
            "",
            "con/x/a.csv.zst",
            "a.csv.zst",
        ),
    ] {
        let given = reference(connection, base, relative, token);
        let purpose = Purpose::Input("input1");
        let at = storage.resolve(&given, Id([1; 16]), purpose).unwrap();
        assert_eq!((at.shown().as_str(), at.file_name()), (shown, name));
        assert_eq!(at.is_own(), relative == "con/x/a.csv.zst");
        for text in [
            format!("{given:?}"),
            format!("{at:?}"),
            format!("{storage:?}"),
        ] {
            for secret in ["a2V5", "sig=", "Signature=", "a%2Fb"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
    let own = storage.default_output(Id([1; 16]), "experimentoutput/x/y.csv");
    assert_eq!(own.shown(), "experimentoutput/x/y.csv");
}

#[test]
fn the_names_of_containers_are_azures() {
    for good in ["abc", "a-b-c", "0a9", "$root", "$logs", &"x".repeat(63)] {
        assert!(crate::is_container_name(good), "{good}");
    }
    for bad in [
        "ab",
        "Abc",
        "a_b",
        "-abc",
        "abc-",
        "a--b",
        "a.b",
        "",
        &"x".repeat(64),
    ] {
        assert!(!crate::is_container_name(bad), "{bad}");
    }
}
