//! Workspaces in the ledger: tokens, changes, refusals.

mod common;

use common::{named, new_service};
use faults::{Class, rows};
use store::{Id, Sku, Store, WhichKey, Workspace, WorkspaceWrite};

fn open(dir: &tempfile::TempDir) -> Store {
    Store::open(dir.path(), None).unwrap()
}

fn change(before: &Workspace, state: &str) -> WorkspaceWrite {
    WorkspaceWrite {
        id: before.id,
        expected: Some(before.version),
        state: state.into(),
        ..WorkspaceWrite::named(before.name.clone())
    }
}

#[tokio::test]
async fn a_workspace_keeps_what_it_was_given_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let write = WorkspaceWrite {
        location: "West Europe".into(),
        tags: r#"{"a":"b"}"#.into(),
        owner_email: "owner@example.org".into(),
        storage_account: "/subscriptions/s/…/storageAccounts/a".into(),
        key_vault: Some("vault".into()),
        sku: Sku {
            name: Some("Enterprise".into()),
            tier: None,
        },
        ..WorkspaceWrite::named(named("Team"))
    };
    let made = store.ledger.put_workspace(write, "test").await.unwrap();
    assert_eq!((made.state.as_str(), made.version), ("Enabled", 1));
    assert_eq!(made.created, made.modified);
    drop(store);

    let store = open(&dir);
    let directory = store.ledger.directory();
    assert_eq!(**directory.workspace(&made.id).unwrap(), *made);
    let found = directory.workspace_by_name(&named("tEAM").key());
    assert_eq!(**found.unwrap(), *made);
    assert!(directory.workspace_by_name(&named("other").key()).is_none());
}

#[tokio::test]
async fn tokens_differ_are_sealed_and_are_made_anew_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let id = store.ledger.directory().default_workspace().unwrap().id;
    let [primary, secondary] = store.ledger.workspace_tokens(id).await.unwrap();
    assert_ne!(primary, secondary);
    let file = std::fs::read(dir.path().join("ledger.sqlite")).unwrap();
    let wal = std::fs::read(dir.path().join("ledger.sqlite-wal")).unwrap_or_default();
    for content in [file, wal] {
        let text = String::from_utf8_lossy(&content).into_owned();
        assert!(!text.contains(&primary) && !text.contains(&secondary));
    }

    let owner = |token: &str| {
        let digest = store.sealer.digest_key(token);
        let directory = store.ledger.directory();
        assert_eq!(
            directory.key_known(&digest),
            directory.workspace_by_token(&digest).is_some()
        );
        directory.workspace_by_token(&digest).map(|w| w.id)
    };
    assert_eq!((owner(&primary), owner(&secondary)), (Some(id), Some(id)));
    store
        .ledger
        .rotate_workspace_token(id, WhichKey::Secondary, "test")
        .await
        .unwrap();
    let [same, fresh] = store.ledger.workspace_tokens(id).await.unwrap();
    assert_eq!(same, primary);
    assert_ne!(fresh, secondary);
    assert_eq!((owner(&primary), owner(&fresh)), (Some(id), Some(id)));
    assert_eq!(owner(&secondary), None);

    let fault = store
        .ledger
        .rotate_workspace_token(Id::random(), WhichKey::Primary, "test")
        .await
        .unwrap_err();
    assert!(fault.is(&rows::NotFound::WorkspaceNotFound));
    let fault = store
        .ledger
        .workspace_tokens(Id::random())
        .await
        .unwrap_err();
    assert!(fault.is(&rows::NotFound::WorkspaceNotFound));
}

#[tokio::test]
async fn a_workspace_of_a_ledger_without_tokens_gets_them_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir));
    let ledger = rusqlite::Connection::open(dir.path().join("ledger.sqlite")).unwrap();
    ledger
        .execute(
            "UPDATE workspaces SET primary_sealed = NULL, primary_digest = NULL,
                 secondary_sealed = NULL, secondary_digest = NULL",
            [],
        )
        .unwrap();
    drop(ledger);
    let store = open(&dir);
    let workspace = store
        .ledger
        .directory()
        .default_workspace()
        .cloned()
        .unwrap();
    let tokens = store.ledger.workspace_tokens(workspace.id).await.unwrap();
    let digests = tokens.map(|token| store.sealer.digest_key(&token));
    assert_eq!(digests, workspace.tokens);
}

#[tokio::test]
async fn of_two_writers_who_saw_the_same_the_second_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let ledger = &store.ledger;
    let write = WorkspaceWrite::named(named("team"));
    let made = ledger.put_workspace(write.clone(), "test").await.unwrap();
    let taken = WorkspaceWrite {
        id: Id::random(),
        ..write
    };
    let fault = ledger.put_workspace(taken, "test").await.unwrap_err();
    assert_eq!(fault.class(), Class::Conflict);

    let changed = ledger
        .put_workspace(change(&made, "Disabled"), "test")
        .await
        .unwrap();
    assert_eq!((changed.state.as_str(), changed.version), ("Disabled", 2));
    assert_eq!(changed.tokens, made.tokens);
    assert!(changed.modified > made.modified);
    let fault = ledger
        .put_workspace(change(&made, "Enabled"), "test")
        .await
        .unwrap_err();
    assert_eq!(fault.class(), Class::Conflict);
    let state = ledger
        .directory()
        .workspace(&made.id)
        .unwrap()
        .state
        .clone();
    assert_eq!(state, "Disabled");
}

#[tokio::test]
async fn only_an_empty_workspace_goes_and_never_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let ledger = &store.ledger;
    let first = ledger.directory().default_workspace().unwrap().id;
    let fault = ledger.delete_workspace(first, "test").await.unwrap_err();
    assert_eq!(fault.class(), Class::Conflict);

    let write = WorkspaceWrite::named(named("team"));
    let made = ledger.put_workspace(write, "test").await.unwrap();
    let service = store::ServiceWrite {
        workspace: made.id,
        ..new_service(&store, "census")
    };
    let service = ledger.put_service(service, "test").await.unwrap();
    let fault = ledger.delete_workspace(made.id, "test").await.unwrap_err();
    assert_eq!(fault.class(), Class::Conflict);
    assert!(ledger.directory().workspace(&made.id).is_some());

    ledger
        .delete_service(service.service, "test")
        .await
        .unwrap();
    assert!(ledger.delete_workspace(made.id, "test").await.unwrap());
    assert!(!ledger.delete_workspace(made.id, "test").await.unwrap());
    let directory = ledger.directory();
    assert!(directory.workspace(&made.id).is_none());
    assert!(directory.workspace_by_name(&made.name.key()).is_none());
    assert!(!directory.key_known(&made.tokens[0]));
    let lines = ledger.audit(2).await.unwrap();
    assert_eq!(lines[0].action, "delete");
    assert_eq!(lines[0].subject, format!("workspace {}", made.id));
}
