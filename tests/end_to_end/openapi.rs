//! The OpenAPI documents of the management APIs, as they are served.

use serde_json::Value;

use crate::support::{Request, Server, Setup};

fn get(server: &Server, path: &str) -> Value {
    let reply = Request::new("GET", path).send(server.address);
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    reply.json()
}

#[test]
fn documents_are_listed_and_say_what_calls_answer() {
    let server = Server::start();
    let list = get(&server, "/umpire/v1/openapi");
    let names: Vec<&str> = list["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|document| document["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "webservices",
            "commitmentplans",
            "workspaces",
            "classic",
            "studio",
            "admin"
        ]
    );
    for name in names {
        let document = get(&server, &format!("/umpire/v1/openapi/{name}.json"));
        assert_eq!(document["openapi"], "3.0.3");
        assert!(!document["paths"].as_object().unwrap().is_empty(), "{name}");
    }

    // What a document says of a reply is what the reply has.
    let document = get(&server, "/umpire/v1/openapi/admin");
    let answer =
        "/paths/~1umpire~1v1~1workspaces/get/responses/200/content/application~1json/schema/$ref";
    let shape = document.pointer(answer).unwrap().as_str().unwrap();
    let shape = document.pointer(shape.trim_start_matches('#')).unwrap();
    let item = shape.pointer("/properties/workspaces/items/$ref").unwrap();
    let item = document
        .pointer(item.as_str().unwrap().trim_start_matches('#'))
        .unwrap();
    let reply = Request::new("GET", "/umpire/v1/workspaces")
        .bearer(&server.token())
        .send(server.address)
        .json();
    let actual = reply["workspaces"][0].as_object().unwrap();
    let described = item["properties"].as_object().unwrap();
    assert!(
        actual.keys().eq(described.keys()),
        "{actual:?} {described:?}"
    );

    let reply = Request::new("GET", "/umpire/v1/openapi/nothing.json").send(server.address);
    assert_eq!(reply.status, 404);
}

#[test]
fn closed_documents_ask_who_reads_them() {
    let server = Setup::default().config("public_docs = false").start();
    let path = "/umpire/v1/openapi/admin.json";
    let reply = Request::new("GET", path).send(server.address);
    assert_eq!(reply.status, 401);
    let reply = Request::new("GET", path)
        .bearer(&server.token())
        .send(server.address);
    assert_eq!(reply.status, 200);
}
