//! The API documents.

use serde_json::Value;

use crate::support::{Request, Server, Setup, onnx, packages};

#[test]
fn the_swagger_document_is_in_the_order_that_clients_need() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let base = format!(
        "/workspaces/{}/services/{}",
        service.workspace, service.endpoint
    );
    let reply = Request::new("GET", &format!("{base}/swagger.json")).send(server.address);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let document = reply.json();
    assert_eq!(document["swagger"], "2.0");
    assert_eq!(document["basePath"], Value::from(base.clone()));
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    // The R client takes the verb from the second path, and looks for the one with `/execute?`.
    assert_eq!(paths[0], "/swagger.json");
    assert_eq!(paths[1], "/execute?api-version=2.0&format=swagger");
    assert_eq!(paths.iter().filter(|p| p.contains("/execute?")).count(), 1);
    // Generated clients call jobs by these names.
    for (path, method, id) in [
        ("/jobs?api-version=2.0", "post", "submitjob"),
        ("/jobs/{jobId}?api-version=2.0", "get", "getjobstatus"),
        ("/jobs/{jobId}?api-version=2.0", "delete", "canceljob"),
        ("/jobs/{jobId}/start?api-version=2.0", "post", "startjob"),
    ] {
        assert_eq!(document["paths"][path][method]["operationId"], id, "{path}");
    }
    let job = &document["definitions"]["BatchExecutionRequest"]["properties"];
    assert_eq!(
        job["Inputs"]["properties"]["input1"]["$ref"],
        "#/definitions/BlobReference"
    );
    let x = &document["definitions"]["input1Item"]["properties"]["x"];
    assert_eq!(
        (x["type"].as_str(), x["format"].as_str()),
        (Some("number"), Some("double"))
    );
    let label = &document["definitions"]["output1Item"]["properties"]["Scored Labels"];
    assert_eq!(label["type"], "number");
    assert!(
        document["definitions"]["ExecutionRequest"]["example"]["Inputs"]["input1"].is_array(),
        "{document}"
    );
    assert_eq!(
        document["securityDefinitions"]["api_key"]["name"],
        "Authorization"
    );
    // The same document under its other addresses.
    for path in [
        format!(
            "/workspaces/{}/webservices/{}/endpoints/{}/apidocument",
            service.workspace, service.service, service.endpoint
        ),
        format!(
            "/apihelp/workspaces/{}/webservices/{}/endpoints/{}/apidocument",
            service.workspace, service.service, service.endpoint
        ),
    ] {
        let other = Request::new("GET", &path).send(server.address);
        assert_eq!(
            other.json()["definitions"],
            document["definitions"],
            "{path}"
        );
    }
}

#[test]
fn documents_can_be_closed_and_samples_kept_back() {
    let server = Setup::default().config("public_docs = false").start();
    let model = server.upload(&onnx::linear(&[2.0], 1.0));
    let mut package = packages::regression(&model, &["x"]);
    package["properties"]["exampleRequest"] = serde_json::json!({"inputs": {"input1": [[41.5]]}});
    package["properties"]["exposeSampleData"] = false.into();
    let service = server.deploy("linear", &package);
    let path = format!(
        "/workspaces/{}/services/{}/swagger.json",
        service.workspace, service.endpoint
    );
    assert_eq!(Request::new("GET", &path).send(server.address).status, 401);
    let reply = Request::new("GET", &path)
        .bearer(&service.primary)
        .send(server.address);
    assert_eq!(reply.status, 200);
    assert!(!reply.text().contains("41.5"), "sample data is off");
}
