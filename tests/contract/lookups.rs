//! Rows about ids and credentials.

use faults::{bad_argument, not_found, unauthorized};
use serde_json::json;

use crate::support::{Request, SUBSCRIPTION, Server, Service, assert_fault, one_x};

const ABSENT: &str = "0123456789abcdef0123456789abcdef";

fn call(service: &Service, path: &str, key: &str) -> crate::support::Reply {
    Request::new("POST", &format!("{path}?api-version=2.0"))
        .bearer(key)
        .json(&one_x(1.0))
        .send(service.address)
}

/// A subscription that is not the service's.
pub fn bad_subscription_id() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let path = format!(
        "/subscriptions/{ABSENT}/services/{}/execute",
        service.service
    );
    assert_fault(
        &call(&service, &path, &service.primary),
        bad_argument::bad_subscription_id(),
    );
    let own = SUBSCRIPTION.replace('-', "");
    let path = format!("/subscriptions/{own}/services/{}/execute", service.service);
    assert_eq!(call(&service, &path, &service.primary).status, 200);
}

/// An empty service segment.
pub fn missing_web_service_id() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let path = format!("/workspaces/{}/services//execute", service.workspace);
    assert_fault(
        &call(&service, &path, &service.primary),
        bad_argument::missing_web_service_id(),
    );
}

/// An empty workspace segment.
pub fn missing_workspace_id() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let path = format!("/workspaces//services/{}/execute", service.endpoint);
    assert_fault(
        &call(&service, &path, &service.primary),
        bad_argument::missing_workspace_id(),
    );
}

/// An id that is not a GUID; hyphens and capitals are fine.
pub fn web_service_id_invalid() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let path = format!(
        "/workspaces/{}/services/my-service/execute",
        service.workspace
    );
    assert_fault(
        &call(&service, &path, &service.primary),
        bad_argument::web_service_id_invalid(),
    );
    let e = service.endpoint.to_uppercase();
    let hyphenated = format!(
        "{}-{}-{}-{}-{}",
        &e[..8],
        &e[8..12],
        &e[12..16],
        &e[16..20],
        &e[20..]
    );
    let path = format!(
        "/workspaces/{}/services/{hyphenated}/execute",
        service.workspace
    );
    assert_eq!(call(&service, &path, &service.primary).status, 200);
}

/// A management call without the operator's token, and with a service's key in its place.
pub fn management_request_unauthorized() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let expected = unauthorized::management_request_unauthorized;
    let put = Request::new("PUT", &server.arm_path("other")).json(&json!({}));
    assert_fault(&put.send(server.address), expected());
    assert_fault(
        &put.clone().bearer(&service.primary).send(server.address),
        expected(),
    );
    assert_fault(&put.bearer("nonsense").send(server.address), expected());
}

/// An operator's call without the operator's token, and with a service's key in its place.
pub fn admin_request_unauthorized() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let expected = unauthorized::admin_request_unauthorized;
    let list = Request::new("GET", "/umpire/v1/services");
    assert_fault(&list.send(server.address), expected());
    assert_fault(
        &list.bearer(&service.primary).send(server.address),
        expected(),
    );
    let blob = format!("/umpire/v1/blobs/{}", crate::support::sha256(b"x"));
    assert_fault(
        &Request::new("PUT", &blob).body("x").send(server.address),
        expected(),
    );
}

/// No key, a wrong one, another service's; and a stranger learns nothing of what exists.
pub fn score_request_unauthorized() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let other = server.deploy_linear("other");
    let expected = unauthorized::score_request_unauthorized;
    let request =
        Request::new("POST", &format!("{}?api-version=2.0", service.path())).json(&one_x(1.0));
    assert_fault(&request.send(server.address), expected());
    for value in ["Bearer wrong", "Basic abc", "Bearer", ""] {
        assert_fault(
            &request
                .clone()
                .header("Authorization", value)
                .send(server.address),
            expected(),
        );
    }
    assert_fault(&call(&service, &service.path(), &other.primary), expected());
    let absent = format!(
        "/workspaces/{}/services/{ABSENT}/execute",
        service.workspace
    );
    assert_fault(&call(&service, &absent, "wrong"), expected());
    // Both keys are equal, and the scheme's case does not matter.
    assert_eq!(
        call(&service, &service.path(), &service.secondary).status,
        200
    );
    let lower = request.header("authorization", &format!("bearer {}", service.primary));
    assert_eq!(lower.send(server.address).status, 200);
    // A bad key outranks a bad body.
    let reply = Request::new("POST", &format!("{}?api-version=2.0", service.path()))
        .bearer("wrong")
        .body("no json");
    assert_fault(&reply.send(server.address), expected());
}

/// An endpoint id that nobody has.
pub fn web_service_not_found() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let path = format!(
        "/workspaces/{}/services/{ABSENT}/execute",
        service.workspace
    );
    assert_fault(
        &call(&service, &path, &service.primary),
        not_found::web_service_not_found(),
    );
}

/// A workspace id that nobody has.
pub fn workspace_not_found() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let path = format!("/workspaces/{ABSENT}/services/{}/execute", service.endpoint);
    assert_fault(
        &call(&service, &path, &service.primary),
        not_found::workspace_not_found(),
    );
}

/// A service asked for in another workspace than its own.
pub fn web_service_id_not_found_in_workspace() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let other = server.create_workspace("other");
    let path = format!("/workspaces/{other}/services/{}/execute", service.endpoint);
    assert_fault(
        &call(&service, &path, &service.primary),
        not_found::web_service_id_not_found_in_workspace(),
    );
}
