//! Who is let in, by which credential, and what he then is.

mod common;

use common::{Installation, named};
use faults::rows::InternalError::AdminAuthenticationFailed;
use faults::rows::Unauthorized::ManagementRequestUnauthorized;
use manage::{Principal, Role, Scope, Target, TokenRequest};

#[test]
#[ignore = "a container's process, not a test"]
fn container_process() {
    common::container_process();
}

#[track_caller]
fn refused(result: Result<Principal, faults::Fault>) {
    let fault = result.expect_err("nobody");
    assert!(fault.is(&ManagementRequestUnauthorized), "{}", fault.name());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoints_key_signs_in_on_that_endpoint_and_nowhere_else() {
    let installation = Installation::new();
    let manager = &installation.manager;
    for name in ["mine", "other"] {
        installation.deploy(name, name, b"model").await.unwrap();
    }
    let entry = |name: &str| {
        let directory = installation.store.ledger.directory();
        directory.by_name(&named(name).key()).cloned().unwrap()
    };
    let (mine, other) = (entry("mine"), entry("other"));
    let keys = manager.keys(&installation.operator, &named("mine")).await;
    for key in &keys.unwrap() {
        // Nobody takes a key by accident.
        refused(manager.authorize(Some(key), "192.0.2.1"));
        refused(manager.authorize_on(Some(&other), Some(key), "192.0.2.1"));
        let signed_in = manager.authorize_on(Some(&mine), Some(key), "192.0.2.1");
        let signed_in = signed_in.unwrap();
        assert_eq!(signed_in.role(), Role::Manage);
        assert_eq!(*signed_in.scope(), Scope::Endpoint(mine.endpoint));
        assert_eq!(signed_in.actor().origin, "192.0.2.1");
        assert!(!signed_in.actor().name.contains(key.as_str()));
        let may = |target| signed_in.permit(Role::Manage, &target).is_ok();
        assert!(may(Target::endpoint(&mine)));
        assert!(!may(Target::service(&mine)) && !may(Target::endpoint(&other)));
    }
    // The stronger credential counts, where one is shown.
    let token = std::fs::read_to_string(store::operator_token_file(
        installation.dir.as_ref().unwrap().path(),
    ));
    let operator = manager.authorize_on(Some(&mine), Some(token.unwrap().trim()), "");
    assert_eq!(operator.unwrap().role(), Role::Admin);
}

#[tokio::test]
async fn without_the_operators_file_tokens_go_on_and_nobody_is_the_operator() {
    let installation = Installation::new();
    let manager = &installation.manager;
    let request = TokenRequest {
        name: "ci",
        scope: "installation",
        ..TokenRequest::default()
    };
    let made = manager.create_token(&installation.operator, &request).await;
    let (record, token) = made.unwrap();
    let folder = installation.dir.as_ref().unwrap().path();
    let file = store::operator_token_file(folder);
    let operator = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();

    let signed_in = manager.authorize(Some(&token), "").unwrap();
    assert_eq!(signed_in.actor().name, "token ci");
    for credential in [operator.trim(), "a guess"] {
        let fault = manager.authorize(Some(credential), "").unwrap_err();
        assert!(fault.is(&AdminAuthenticationFailed), "{}", fault.name());
    }
    refused(manager.authorize(None, ""));
    // What is known to be revoked needs no file to be refused.
    let ledger = &installation.store.ledger;
    assert_eq!(ledger.revoke_token(record.id, "operator").await, Ok(true));
    refused(manager.authorize(Some(&token), ""));
}
