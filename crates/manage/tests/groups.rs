//! Web-service groups through the manager, with real containers.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Installation, named, package};
use faults::{Class, Fault, rows};
use manage::{ApiVersion, GroupPath, PublishedView, WorkspacePath};
use serde_json::{Value, json};
use store::{Id, ModelPackageWrite, PackageStatus, ResourceName, Slot};

/// The host starts this program with this test as a container.
#[test]
#[ignore = "a container's process, not a test"]
fn container_process() {
    common::container_process();
}

const FAMILY: &str = "00000000000000000000000000000001";

/// A model package whose one output has that name; it answers what it is given.
fn model_package(output: &str, model: &str) -> Value {
    json!({
        "Workflow": {
            "ModuleNodes": [{
                "Id": "score", "ModuleId": format!("w.{FAMILY}.v1"),
                "InputPortsInternal": [{"Name": "Trained model", "TrainedModelId": model}]
            }],
            "EdgesInternal": []
        },
        "Inputs": [{"GraphModuleNodeId": "score", "PortName": "Dataset", "Name": "input1",
                    "Schema": [{"Name": "x", "Type": "Double"}]}],
        "Outputs": [{"GraphModuleNodeId": "score", "PortName": "Scored dataset", "Name": output,
                     "Schema": [{"Name": "x", "Type": "Double"}]}]
    })
}

/// A group of an installation's first workspace.
struct Group<'i> {
    i: &'i Installation,
    workspace: String,
    id: Id,
    path: GroupPath,
}

impl Group<'_> {
    async fn new<'i>(i: &'i Installation, name: &str) -> Group<'i> {
        let workspace = i.store.ledger.directory().default_workspace().unwrap().id;
        let workspace = workspace.to_string();
        let body = json!({"Name": name}).to_string();
        let group = i
            .manager
            .create_group(
                &i.operator,
                &WorkspacePath::parse(&workspace).unwrap(),
                body.as_bytes(),
            )
            .await
            .unwrap();
        let path = GroupPath::parse(&workspace, &group.to_string()).unwrap();
        Group {
            i,
            workspace,
            id: group,
            path,
        }
    }

    async fn package(&self, output: &str, model: &[u8]) -> Result<Id, Fault> {
        let uri = self.i.upload(model).await;
        let body = Bytes::from(model_package(output, &uri).to_string());
        let manager = &self.i.manager;
        manager
            .create_model_package(&self.i.operator, &self.path, body)
            .await
    }

    async fn publish(&self, package: Id, slot: &str) -> Result<PublishedView, Fault> {
        let body = json!({"ModelPackageId": package, "WebServiceType": slot}).to_string();
        let manager = &self.i.manager;
        manager
            .publish(&self.i.operator, &self.path, body.as_bytes())
            .await
    }

    async fn in_slot(&self, slot: Slot) -> Option<PublishedView> {
        let manager = &self.i.manager;
        let view = manager.group(&self.i.operator, &self.path).await.unwrap();
        view.in_slot(slot).cloned()
    }

    async fn status(&self, package: Id) -> &'static str {
        let manager = &self.i.manager;
        let view = manager
            .model_package(&self.i.operator, &self.path, package)
            .await;
        manage::status_name(&view.unwrap().summary)
    }

    async fn score(&self, view: &PublishedView) -> String {
        let name = &view.entry.service_name.name;
        self.i.score(name).await.unwrap()
    }
}

#[tokio::test]
async fn a_slot_keeps_its_service_and_what_it_answers_by_is_true_after_a_restart() {
    let i = Installation::new();
    let group = Group::new(&i, "group").await;
    let first = group.package("first", b"one").await.unwrap();
    let made = group.publish(first, "Production").await.unwrap();
    assert_eq!(made.entry.service, group.id);
    let second = group.package("second", b"two").await.unwrap();
    let moved = group.publish(second, "production").await.unwrap();
    assert_eq!(moved.entry.endpoint, made.entry.endpoint);
    assert_eq!(moved.keys, made.keys);
    assert_eq!(moved.package, Some(second));
    assert_eq!(group.score(&moved).await, "second");
    assert_eq!(group.status(first).await, "InTesting");
    assert_eq!(group.status(second).await, "DeployedToProduction");

    let (workspace, id, path) = (group.workspace, group.id, group.path);
    i.host.shutdown(Duration::ZERO).await;
    let dir = i.dir.clone().unwrap();
    drop(i);
    let i = Installation::in_folder(dir);
    let group = Group {
        i: &i,
        workspace,
        id,
        path,
    };
    let there = group.in_slot(Slot::Production).await.unwrap();
    assert_eq!((there.package, &there.keys), (Some(second), &made.keys));
    assert_eq!(group.score(&there).await, "second");

    // A revision tells of which package it was made, whoever lets it answer.
    let name = there.entry.service_name.clone();
    i.manager.rollback(&i.operator, &name, None).await.unwrap();
    let there = group.in_slot(Slot::Production).await.unwrap();
    assert_eq!(there.package, Some(first));
    assert_eq!(group.status(first).await, "DeployedToProduction");
    assert_eq!(group.status(second).await, "InTesting");
}

#[tokio::test]
async fn what_other_apis_do_to_a_service_shows_in_its_group() {
    let i = Installation::new();
    let group = Group::new(&i, "group").await;
    let package_id = group.package("first", b"one").await.unwrap();
    let there = group.publish(package_id, "Production").await.unwrap();
    let name = there.entry.service_name.clone();

    // A definition of the Resource Manager's own is made of no package.
    let uri = i.upload(b"two").await;
    let mut body = package("other", &uri);
    body["location"] = json!(there.entry.location);
    let text = body.to_string();
    i.manager
        .deploy(&i.operator, name.clone(), text)
        .await
        .unwrap();
    let now = group.in_slot(Slot::Production).await.unwrap();
    assert_eq!((now.package, now.settings.clone()), (None, None));
    assert_eq!(group.status(package_id).await, "InTesting");
    // So it may go; the slot stays.
    i.manager
        .delete_model_package(&i.operator, &group.path, package_id)
        .await
        .unwrap();
    let again = group.package("again", b"one").await.unwrap();
    let moved = group.publish(again, "Production").await.unwrap();
    assert_eq!(moved.entry.endpoint, there.entry.endpoint);

    assert!(i.manager.delete(&i.operator, &name).await.unwrap());
    assert!(group.in_slot(Slot::Production).await.is_none());
    assert_eq!(group.status(again).await, "InTesting");
    let anew = group.publish(again, "Production").await.unwrap();
    assert_ne!(anew.keys, there.keys);
}

#[tokio::test]
async fn a_publication_that_fails_changes_nothing() {
    let i = Installation::new();
    let group = Group::new(&i, "group").await;
    let good = group.package("first", b"one").await.unwrap();
    let there = group.publish(good, "Staging").await.unwrap();
    let broken = group.package("second", b"broken").await.unwrap();
    let fault = group.publish(broken, "Staging").await.unwrap_err();
    assert_eq!(fault.class(), Class::ModelPackageFormatError);
    let now = group.in_slot(Slot::Staging).await.unwrap();
    assert_eq!((now.package, &now.entry), (Some(good), &there.entry));
    assert_eq!(group.score(&now).await, "first");
    let fault = group.publish(broken, "Production").await.unwrap_err();
    assert_eq!(fault.class(), Class::ModelPackageFormatError);
    assert!(group.in_slot(Slot::Production).await.is_none());

    // A package that comes with the call goes with it.
    let uri = i.upload(b"broken").await;
    let body = json!({"ModelPackage": model_package("x", &uri), "WebServiceType": "Staging"});
    let body = body.to_string();
    let before = i.manager.model_packages(&i.operator, &group.path).await;
    let failed = i
        .manager
        .publish(&i.operator, &group.path, body.as_bytes())
        .await;
    assert_eq!(failed.unwrap_err().class(), Class::ModelPackageFormatError);
    let after = i.manager.model_packages(&i.operator, &group.path).await;
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_name_that_somebody_else_has_is_left_alone() {
    let i = Installation::new();
    let group = Group::new(&i, "group").await;
    let taken = format!("group.{}", group.id);
    let others = i.deploy(&taken, "others", b"one").await.unwrap();
    let package_id = group.package("ours", b"two").await.unwrap();
    let fault = group.publish(package_id, "Production").await.unwrap_err();
    assert_eq!(fault.class(), Class::Conflict);
    assert_eq!(i.score(&taken).await.unwrap(), "others");
    let view = i.manager.get(&i.operator, &named(&taken)).await.unwrap();
    assert_eq!(view.entry, others.service.entry);
    assert!(group.in_slot(Slot::Production).await.is_none());
}

#[tokio::test]
async fn a_stored_package_that_no_longer_reads_is_the_servers_fault() {
    let i = Installation::new();
    let group = Group::new(&i, "group").await;
    for document in [&b"{"[..], b"{\"Workflow\": 7}"] {
        let id = Id::random();
        let write = ModelPackageWrite {
            id,
            group: group.id,
            status: PackageStatus::InTesting,
            document: document.to_vec(),
            resources: Vec::new(),
        };
        let ledger = &i.store.ledger;
        ledger
            .create_model_package(write, "somebody")
            .await
            .unwrap();
        let fault = group.publish(id, "Staging").await.unwrap_err();
        assert!(
            fault.is(&rows::InternalError::ModelPackageInvalid),
            "{}",
            fault.name()
        );
    }
}

#[tokio::test]
async fn blobs_of_packages_outlive_a_sweep_and_go_with_the_group() {
    let i = Installation::new();
    let group = Group::new(&i, "group").await;
    group.package("first", b"one").await.unwrap();
    let hash = store::Sha256::of(b"one");
    let named = i.store.ledger.named_blobs().unwrap();
    assert!(named.contains(&hash));
    i.manager
        .delete_group(&i.operator, &group.path)
        .await
        .unwrap();
    assert!(i.store.ledger.named_blobs().unwrap().is_empty());
}

#[tokio::test]
async fn one_change_at_a_time_and_a_group_goes_whole_or_not_at_all() {
    let i = Installation::with_start_limit(Duration::from_secs(5));
    let group = Group::new(&i, "group").await;
    let good = group.package("first", b"one").await.unwrap();
    let there = group.publish(good, "Production").await.unwrap();
    let endless = group.package("second", b"endless").await.unwrap();
    let publishing = {
        let (manager, operator, path) = (i.manager.clone(), i.operator.clone(), group.path.clone());
        let body = json!({"ModelPackageId": endless, "WebServiceType": "Production"});
        tokio::spawn(async move {
            let body = body.to_string();
            loop {
                match manager.publish(&operator, &path, body.as_bytes()).await {
                    // The turn was with one of the empty bodies below.
                    Err(fault) if fault.class() == Class::Conflict => {}
                    other => return other,
                }
            }
        })
    };
    // The empty body is refused as empty until the publication has its turn.
    let name = there.entry.service_name.clone();
    loop {
        let empty = i.manager.deploy(&i.operator, name.clone(), "{}").await;
        if empty.unwrap_err().class() == Class::Conflict {
            break;
        }
        tokio::task::yield_now().await;
    }
    let deleted = i.manager.delete_group(&i.operator, &group.path).await;
    assert_eq!(deleted.unwrap_err().class(), Class::Conflict);
    assert_eq!(group.score(&there).await, "first");
    let fault = publishing.await.unwrap().unwrap_err();
    assert!(
        fault.is(&rows::GatewayTimeout::BackendInitializationTimeout)
            || fault.class() == Class::Conflict
    );

    let staging = group.publish(good, "Staging").await.unwrap();
    i.manager
        .delete_group(&i.operator, &group.path)
        .await
        .unwrap();
    for entry in [&there.entry, &staging.entry] {
        let gone = i.manager.get(&i.operator, &entry.service_name).await;
        assert!(gone.unwrap_err().is(&rows::NotFound::WebServiceNotFound));
    }
    let gone = i.manager.group(&i.operator, &group.path).await;
    assert!(
        gone.unwrap_err()
            .is(&rows::InternalError::WebServiceGroupNotFound)
    );
    let audit = i.store.ledger.audit(10).await.unwrap();
    let subject = format!("web service group {}", group.id);
    assert_eq!(
        (&audit[0].action[..], &audit[0].subject),
        ("delete", &subject)
    );
}

#[tokio::test]
async fn nobody_learns_of_groups_outside_of_his_scope() {
    let i = Installation::new();
    let group = Group::new(&i, "group").await;
    let package_id = group.package("first", b"one").await.unwrap();
    let other = Id::random();
    let name = ResourceName {
        subscription: store::DEFAULT_SUBSCRIPTION.into(),
        resource_group: "elsewhere".into(),
        name: "other".into(),
    };
    let ledger = &i.store.ledger;
    ledger
        .create_workspace(other, name, "somebody")
        .await
        .unwrap();
    let request = |role| manage::TokenRequest {
        name: role,
        role: Some(role),
        scope: "workspace:",
        expires: None,
    };
    let scope = format!("workspace:{other}");
    let (_, stranger) = i
        .manager
        .create_token(
            &i.operator,
            &manage::TokenRequest {
                scope: &scope,
                ..request("manage")
            },
        )
        .await
        .unwrap();
    let stranger = i.manager.authorize(Some(&stranger), "").unwrap();
    let own = format!("workspace:{}", group.workspace);
    let (_, reader) = i
        .manager
        .create_token(
            &i.operator,
            &manage::TokenRequest {
                scope: &own,
                ..request("read")
            },
        )
        .await
        .unwrap();
    let reader = i.manager.authorize(Some(&reader), "").unwrap();

    let unauthorized = &rows::Unauthorized::ManagementRequestUnauthorized;
    let elsewhere = |workspace: &str, group: &str| GroupPath::parse(workspace, group).unwrap();
    let (unknown, id) = (Id::random().to_string(), group.id.to_string());
    for path in [
        elsewhere(&group.workspace, &id),
        elsewhere(&group.workspace, &unknown),
        elsewhere(&unknown, &id),
        elsewhere("nowhere", &id),
    ] {
        let fault = i.manager.group(&stranger, &path).await.unwrap_err();
        assert!(fault.is(unauthorized), "{path:?}: {}", fault.name());
        let fault = i
            .manager
            .model_package(&stranger, &path, package_id)
            .await
            .unwrap_err();
        assert!(fault.is(unauthorized));
        let fault = i
            .manager
            .test_target(Some(&stranger), &path, Id::random())
            .await
            .unwrap_err();
        assert!(fault.is(unauthorized));
    }
    // A group of another workspace is none of his own.
    let borrowed = elsewhere(&other.to_string(), &id);
    let fault = i.manager.group(&stranger, &borrowed).await.unwrap_err();
    assert!(fault.is(&rows::InternalError::WebServiceGroupNotFound));

    group.publish(package_id, "Staging").await.unwrap();
    let seen = i.manager.group(&reader, &group.path).await.unwrap();
    assert!(seen.in_slot(Slot::Staging).unwrap().keys.is_none(), "keys");
    let body = json!({"ModelPackageId": package_id, "WebServiceType": "Staging"}).to_string();
    let fault = i
        .manager
        .publish(&reader, &group.path, body.as_bytes())
        .await
        .unwrap_err();
    assert!(fault.is(unauthorized));
    let fault = i.manager.delete_group(&reader, &group.path).await;
    assert!(fault.unwrap_err().is(unauthorized));
}

#[tokio::test]
async fn a_definition_has_the_settings_of_its_publication() {
    let i = Installation::new();
    let group = Group::new(&i, "group").await;
    let id = group.package("first", b"one").await.unwrap();
    let body =
        json!({"ModelPackageId": id, "WebServiceType": "Production", "MaxConcurrentCalls": 9});
    let body = body.to_string();
    let made = i
        .manager
        .publish(&i.operator, &group.path, body.as_bytes())
        .await
        .unwrap();
    assert_eq!(made.entry.max_concurrent_calls, 9);
    let definition = i
        .manager
        .published_definition(&i.operator, &group.path, made.entry.service)
        .await
        .unwrap();
    let shown = Value::from(definition.properties(ApiVersion::Stable2017, "http://x"));
    assert_eq!(shown["title"], "group");
    assert_eq!(shown["machineLearningWorkspace"]["id"], group.workspace);
    let body =
        json!({"ModelPackageId": id, "WebServiceType": "Production", "MaxConcurrentCalls": 201});
    let fault = i
        .manager
        .publish(&i.operator, &group.path, body.to_string().as_bytes())
        .await
        .unwrap_err();
    assert!(fault.is(&rows::BadArgument::WebServiceTooManyConcurrentRequestRequirement));
}

#[tokio::test]
async fn a_service_keeps_its_slot_and_its_throttle_level() {
    let i = Installation::new();
    let group = Group::new(&i, "group").await;
    let id = group.package("first", b"one").await.unwrap();
    let made = group.publish(id, "Staging").await.unwrap();
    let moved = json!({"ModelPackageId": id, "WebServiceType": "Production"}).to_string();
    let fault = i
        .manager
        .publish_again(
            &i.operator,
            &group.path,
            made.entry.endpoint,
            moved.as_bytes(),
        )
        .await
        .unwrap_err();
    assert_eq!(fault.class(), Class::Conflict);
    let absent = i
        .manager
        .publish_again(&i.operator, &group.path, Id::random(), moved.as_bytes())
        .await
        .unwrap_err();
    assert!(absent.is(&rows::NotFound::WebServiceNotFound));
    let low = json!({"ModelPackageId": id, "WebServiceType": "Production", "ThrottleLevel": "Low"});
    let fault = i
        .manager
        .publish(&i.operator, &group.path, low.to_string().as_bytes())
        .await
        .unwrap_err();
    assert!(fault.is(&rows::BadArgument::BadParameterValue));
    // A status that only a publication makes true, and the same once it is true.
    let deployed = json!({"StatusCode": "DeployedToProduction"}).to_string();
    let set = |id| {
        let (manager, operator) = (&i.manager, &i.operator);
        manager.set_package_status(operator, &group.path, id, deployed.as_bytes())
    };
    assert_eq!(set(id).await.unwrap_err().class(), Class::Conflict);
    group.publish(id, "Production").await.unwrap();
    set(id).await.unwrap();
    assert_eq!(group.status(id).await, "DeployedToProduction");
    assert!(group.in_slot(Slot::Staging).await.is_some());
}
