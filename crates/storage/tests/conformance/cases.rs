//! What holds for every kind of storage.

use std::time::Duration;

use bytes::Bytes;
use storage::{FailureKind, Part, Purpose, Staging};

use crate::place::{Place, locate, pattern, read, says};

const CSV: &str = "text/csv";

/// All cases, one after the other.
pub async fn all(place: &Place) {
    unsigned(place).await;
    signed(place).await;
}

/// All cases but that of a URL that anybody can fetch.
pub async fn unsigned(place: &Place) {
    whole_blobs(place).await;
    ranges(place).await;
    names(place).await;
    content_that_changes(place).await;
    parts_in_any_order(place).await;
    repeated_commits_and_late_parts(place).await;
    late_attempts(place).await;
    nothing_but_an_empty_blob(place).await;
    abort(place).await;
    resume(place).await;
    probe(place).await;
    what_is_missing(place).await;
}

async fn whole_blobs(place: &Place) {
    let at = place.at("whole/a.csv");
    let (one, two) = (pattern(100_000, 1), pattern(70, 2));
    place.storage.put(&at, CSV, one.clone()).await.unwrap();
    let source = place.storage.open(&at).await.unwrap();
    assert_eq!(source.size, 100_000);
    assert!(source.etag.is_some());
    assert_eq!(place.content(&at).await, one);
    // In the place of what is there.
    place.storage.put(&at, CSV, two.clone()).await.unwrap();
    assert_eq!(place.content(&at).await, two);
    place.storage.put(&at, CSV, Bytes::new()).await.unwrap();
    assert_eq!(place.storage.open(&at).await.unwrap().size, 0);
    assert_eq!(place.content(&at).await, Bytes::new());
    place.storage.delete(&at).await.unwrap();
    let failure = place.storage.open(&at).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotFound);
    // What is gone can be deleted.
    place.storage.delete(&at).await.unwrap();
}

async fn ranges(place: &Place) {
    let at = place.at("ranges.csv");
    let content = pattern(1_000_000, 3);
    place.storage.put(&at, CSV, content.clone()).await.unwrap();
    let source = place.storage.open(&at).await.unwrap();
    for range in [
        0..1,
        0..1_000_000,
        1..2,
        500_000..700_001,
        999_999..1_000_000,
        999_000..5_000_000,
        7..7,
        1_000_000..1_000_001,
        2_000_000..3_000_000,
    ] {
        let read = source.read(range.clone()).await.unwrap().whole().await;
        let (start, end) = (range.start.min(1_000_000), range.end.min(1_000_000));
        let expected = content.slice(start as usize..end as usize);
        assert_eq!(read.unwrap(), expected, "{range:?}");
    }
    // At once, and from more than one place.
    let (a, b) = tokio::join!(source.read(0..400_000), source.read(400_000..1_000_000));
    let (a, b) = tokio::join!(a.unwrap().whole(), b.unwrap().whole());
    assert_eq!([a.unwrap(), b.unwrap()].concat(), content);
}

async fn names(place: &Place) {
    for name in [
        "a b/c+d.csv",
        "ü/測試.csv",
        "50% (x)&y='z'.csv",
        "~!$,;:@.csv",
    ] {
        let at = place.at(name);
        assert_eq!(at.file_name(), name.rsplit('/').next().unwrap());
        let content = Bytes::from(name.to_owned());
        place.storage.put(&at, CSV, content.clone()).await.unwrap();
        assert_eq!(place.content(&at).await, content, "{name}");
        place.storage.delete(&at).await.unwrap();
    }
}

async fn content_that_changes(place: &Place) {
    let at = place.at("changes.csv");
    place.storage.put(&at, CSV, pattern(5000, 4)).await.unwrap();
    let source = place.storage.open(&at).await.unwrap();
    place.storage.put(&at, CSV, pattern(5000, 5)).await.unwrap();
    let read = match source.read(100..200).await {
        Ok(stream) => stream.whole().await,
        Err(failure) => Err(failure),
    };
    match read {
        // Storage on this machine keeps what was opened.
        Ok(read) => assert_eq!(read, pattern(5000, 4).slice(100..200)),
        Err(failure) => {
            assert_eq!(failure.kind, FailureKind::Changed, "{failure:?}");
            assert!(!failure.transient);
        }
    }
}

/// Three parts, the last a short one.
fn three(place: &Place, seed: u32) -> [Bytes; 3] {
    [
        pattern(place.part, seed),
        pattern(place.part + 3, seed + 1),
        pattern(17, seed + 2),
    ]
}

async fn staged(staging: &Staging, parts: &[Bytes; 3]) -> Vec<Part> {
    // The last is there first.
    let stage = |number: usize| staging.stage(number as u32, 0, parts[number].clone());
    let (c, b, a) = tokio::join!(stage(2), stage(1), stage(0));
    vec![a.unwrap(), b.unwrap(), c.unwrap()]
}

async fn parts_in_any_order(place: &Place) {
    let at = place.at("parts/any order.csv");
    let staging = place.storage.begin(&at, CSV).await.unwrap();
    let limits = staging.limits();
    assert!(limits.min <= place.part as u64 && limits.max > limits.min && limits.most >= 1000);
    let parts = three(place, 10);
    let names = staged(&staging, &parts).await;
    // Nothing is seen before the commit.
    let failure = place.storage.open(&at).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotFound);
    staging.commit(&names).await.unwrap();
    assert_eq!(place.content(&at).await, parts.concat());
    // In the place of a blob that is there; it is seen until then.
    let other = three(place, 20);
    let staging = place.storage.begin(&at, CSV).await.unwrap();
    let names = staged(&staging, &other).await;
    assert_eq!(place.content(&at).await, parts.concat());
    staging.commit(&names).await.unwrap();
    assert_eq!(place.content(&at).await, other.concat());
}

async fn repeated_commits_and_late_parts(place: &Place) {
    let at = place.at("parts/again.csv");
    let staging = place.storage.begin(&at, CSV).await.unwrap();
    let parts = three(place, 30);
    let names = staged(&staging, &parts).await;
    staging.commit(&names).await.unwrap();
    staging.commit(&names).await.unwrap();
    // Whoever comes late is refused or not heard.
    let _ = staging.stage(1, 1, pattern(place.part, 33)).await;
    assert_eq!(place.content(&at).await, parts.concat());
    staging.commit(&names).await.unwrap();
    assert_eq!(place.content(&at).await, parts.concat());
    // What another made of it since then is not taken for ours.
    place.storage.put(&at, CSV, pattern(9, 34)).await.unwrap();
    let again = staging.commit(&names).await;
    assert_eq!(again.is_ok(), place.remembers);
    assert_eq!(place.content(&at).await, pattern(9, 34));
}

async fn late_attempts(place: &Place) {
    let at = place.at("parts/attempts.csv");
    let staging = place.storage.begin(&at, CSV).await.unwrap();
    let counts = staging.stage(0, 0, pattern(place.part, 40)).await.unwrap();
    let last = staging.stage(1, 0, pattern(50, 41)).await.unwrap();
    // Another attempt that ends after the one that counts.
    staging.stage(0, 1, pattern(place.part, 42)).await.unwrap();
    staging.commit(&[counts, last]).await.unwrap();
    let expected = [pattern(place.part, 40), pattern(50, 41)].concat();
    assert_eq!(place.content(&at).await, expected);
}

async fn nothing_but_an_empty_blob(place: &Place) {
    let at = place.at("parts/none.csv");
    let staging = place.storage.begin(&at, CSV).await.unwrap();
    staging.commit(&[]).await.unwrap();
    assert_eq!(place.content(&at).await, Bytes::new());
    if place.keeps_metadata {
        staging.commit(&[]).await.unwrap();
    }
}

async fn abort(place: &Place) {
    let at = place.at("parts/aborted.csv");
    let staging = place.storage.begin(&at, CSV).await.unwrap();
    staged(&staging, &three(place, 50)).await;
    staging.abort().await.unwrap();
    staging.abort().await.unwrap();
    let failure = place.storage.open(&at).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotFound);
    // After a commit it takes nothing away.
    let staging = place.storage.begin(&at, CSV).await.unwrap();
    let parts = three(place, 53);
    let names = staged(&staging, &parts).await;
    staging.commit(&names).await.unwrap();
    staging.abort().await.unwrap();
    assert_eq!(place.content(&at).await, parts.concat());
}

async fn resume(place: &Place) {
    let at = place.at("parts/resumed.csv");
    let parts = three(place, 60);
    let staging = place.storage.begin(&at, CSV).await.unwrap();
    let first = staging.stage(0, 0, parts[0].clone()).await.unwrap();
    let token = staging.token();
    drop(staging);
    let staging = place.storage.resume(&at, &token).await.unwrap();
    let second = staging.stage(1, 0, parts[1].clone()).await.unwrap();
    let staging = place.storage.resume(&at, &staging.token()).await.unwrap();
    let third = staging.stage(2, 3, parts[2].clone()).await.unwrap();
    staging.commit(&[first, second, third]).await.unwrap();
    assert_eq!(place.content(&at).await, parts.concat());
    let failure = place.storage.resume(&at, "nonsense").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::BadName);
}

async fn probe(place: &Place) {
    let at = place.at("probed.csv");
    place.storage.probe(&at).await.unwrap();
    let failure = place.storage.open(&at).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotFound);
    // The blob that is there stays, and can still be put together of parts.
    let content = pattern(30, 70);
    place.storage.put(&at, CSV, content.clone()).await.unwrap();
    place.storage.probe(&at).await.unwrap();
    assert_eq!(place.content(&at).await, content);
    let staging = place.storage.begin(&at, CSV).await.unwrap();
    let parts = three(place, 71);
    let names = staged(&staging, &parts).await;
    place.storage.probe(&at).await.unwrap();
    staging.commit(&names).await.unwrap();
    assert_eq!(place.content(&at).await, parts.concat());
}

async fn what_is_missing(place: &Place) {
    let at = place.at("missing.csv");
    let failure = read(&place.storage, &at).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotFound);
    says(&failure, place.no_blob);
    let fault = failure.into_fault(Purpose::Input("input1"), &at);
    assert_eq!(fault.name(), "BadArgument.BlobNotFound");
    assert_eq!(fault.details()[0].args[0], at.shown());
    assert!(fault.details()[0].args[1].contains(place.no_blob.1));
    let Some(stray) = &place.stray else { return };
    let at = locate(&place.storage, stray);
    let failures = [
        read(&place.storage, &at).await.unwrap_err(),
        place.storage.probe(&at).await.unwrap_err(),
        place.storage.put(&at, CSV, Bytes::new()).await.unwrap_err(),
    ];
    for failure in failures {
        assert_eq!(failure.kind, FailureKind::NotFound, "{failure:?}");
        says(&failure, place.no_container);
        let fault = failure.into_fault(Purpose::Output("output1"), &at);
        assert_eq!(fault.name(), "BadArgument.ContainerValidationFailed");
        assert!(fault.details()[0].args[0].contains(place.no_container.1));
    }
}

async fn signed(place: &Place) {
    let at = place.at("signed/a b ü.csv");
    let content = pattern(1000, 80);
    place.storage.put(&at, CSV, content.clone()).await.unwrap();
    let ttl = Duration::from_secs(600);
    let signed = place
        .storage
        .signed(&at, ttl, "http://127.0.0.1:1")
        .await
        .unwrap();
    assert!(signed.base_location.ends_with('/'), "{signed:?}");
    assert!(!signed.relative_location.starts_with('/'), "{signed:?}");
    assert!(signed.sas_blob_token.starts_with('?'));
    // Clients join the three blindly.
    let url = format!(
        "{}{}{}",
        signed.base_location, signed.relative_location, signed.sas_blob_token
    );
    let outbound = crate::place::outbound(0, Duration::from_secs(10));
    assert_eq!(outbound.get_whole(&url, 10_000).await.unwrap(), content);
    // The token is what opens it, and it is not shown.
    let bare = format!("{}{}", signed.base_location, signed.relative_location);
    assert!(!format!("{signed:?}").contains(&signed.sas_blob_token[1..]));
    assert!(!bare.contains('?'));
}
