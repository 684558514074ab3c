//! OpenAPI documents of the management APIs, made from the table of routes and what
//! [`describe`] says of each action.

mod describe;
mod schemas;

use std::collections::BTreeSet;

use faults::{Class, Fault};
use http::StatusCode;
use serde_json::{Map, Value, json};
use telemetry::Surface;

use crate::action::Action;
use crate::reply::{Errors, Reply};
use crate::routes::{ROUTES, Route};
use crate::stack::Call;
use describe::{Described, described};

/// One document.
struct Document {
    /// Its name in the URL, without `.json`.
    name: &'static str,
    title: &'static str,
    description: &'static str,
    /// The versions that its calls name; none where they name none.
    versions: &'static [&'static str],
}

static DOCUMENTS: [Document; 6] = [
    Document {
        name: "webservices",
        title: "Web services",
        description: "Web services as resources of the Resource Manager, and what it says of the provider.",
        versions: &["2017-01-01", "2016-05-01-preview"],
    },
    Document {
        name: "commitmentplans",
        title: "Commitment plans",
        description: "Commitment plans as resources of the Resource Manager, with the services that count against them.",
        versions: &["2016-05-01-preview"],
    },
    Document {
        name: "workspaces",
        title: "Workspaces",
        description: "Workspaces as resources of the Resource Manager, with their tokens.",
        versions: &["2019-10-01", "2016-04-01"],
    },
    Document {
        name: "classic",
        title: "Classic management",
        description: "Web services and their endpoints as the classic API has them.",
        versions: &[],
    },
    Document {
        name: "studio",
        title: "Web service groups",
        description: "Groups of web services and the model packages that are published to them.",
        versions: &[],
    },
    Document {
        name: "admin",
        title: "Operators' API",
        description: "What operators and the umpire commands use.",
        versions: &[],
    },
];

/// `GET /umpire/v1/openapi`: which documents there are.
pub(crate) fn list(call: &Call<'_>) -> Result<Reply, Fault> {
    authorize(call)?;
    let base = call.base_url();
    let documents: Vec<Value> = DOCUMENTS
        .iter()
        .map(|document| {
            json!({
                "name": document.name,
                "title": document.title,
                "url": format!("{base}/umpire/v1/openapi/{}.json", document.name),
            })
        })
        .collect();
    Reply::json(StatusCode::OK, &json!({ "documents": documents }))
}

/// `GET /umpire/v1/openapi/{document}`: one of them, with `.json` or without.
pub(crate) fn get(call: &Call<'_>) -> Result<Reply, Fault> {
    authorize(call)?;
    let name = call.word(0);
    let name = name.strip_suffix(".json").unwrap_or(&name);
    let document = DOCUMENTS
        .iter()
        .find(|document| document.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| Fault::bare(Class::NotFound).because("there is no such document"))?;
    Reply::json(StatusCode::OK, &document.render(&call.base_url()))
}

/// As for the services' own documents: open, unless the operator closes them.
fn authorize(call: &Call<'_>) -> Result<(), Fault> {
    match call.gateway.options.public_docs {
        true => Ok(()),
        false => call.principal().map(drop),
    }
}

/// The name of the document that a route belongs to; none for scoring, health and pages.
fn document_of(route: &Route) -> Option<&'static str> {
    if !matches!(route.surface, Surface::Manage | Surface::Admin) {
        return None;
    }
    let path = route.template;
    let words: [(&str, &str); 6] = [
        ("/umpire/", "admin"),
        ("/api/", "studio"),
        ("/commitmentPlans", "commitmentplans"),
        ("/skus", "commitmentplans"),
        ("Microsoft.MachineLearning/workspaces", "workspaces"),
        ("Microsoft.MachineLearning", "webservices"),
    ];
    let found = words.iter().find(|(part, _)| path.contains(part));
    Some(found.map_or("classic", |(_, name)| name))
}

impl Document {
    /// The document, for a server at `base`.
    fn render(&self, base: &str) -> Value {
        let mut paths = Map::new();
        let mut used = BTreeSet::from(["Error"]);
        for route in ROUTES {
            if document_of(route) != Some(self.name) {
                continue;
            }
            let mut item = Map::new();
            for (method, action) in route.methods {
                // A test sees to it that none is left out.
                let Some(said) = described(*action) else {
                    continue;
                };
                used.extend(said.schemas());
                let name = method.as_str().to_ascii_lowercase();
                item.insert(name.clone(), self.operation(route, &name, *action, &said));
            }
            paths.insert(route.template.to_owned(), item.into());
        }
        json!({
            "openapi": "3.0.3",
            "info": {
                "title": format!("Umpire: {}", self.title),
                "description": self.description,
                "version": self.versions.first().unwrap_or(&"1"),
            },
            "servers": [{"url": base}],
            "security": [{"bearer": []}],
            "paths": paths,
            "components": {
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
                "schemas": schemas::closure(used),
            },
        })
    }

    fn operation(&self, route: &Route, method: &str, action: Action, said: &Described) -> Value {
        let mut parameters: Vec<Value> = holes(route.template)
            .map(|name| {
                json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
            })
            .collect();
        if !self.versions.is_empty() {
            parameters.push(json!({
                "name": "api-version",
                "in": "query",
                "required": true,
                "schema": {"type": "string", "enum": self.versions},
            }));
        }
        for (name, description) in said.query {
            parameters.push(json!({
                "name": name,
                "in": "query",
                "description": description,
                "schema": {"type": "string"},
            }));
        }
        let mut responses = Map::new();
        for (status, schema) in said.answers {
            responses.insert(status.to_string(), response(schema));
        }
        let error = match route.errors() {
            Errors::Enveloped => "Error",
            Errors::Twice => "ErrorTwice",
            // Only documents of management are made; blobs are none.
            Errors::OfStorage => "Error",
        };
        responses.insert("default".to_owned(), response(error));
        let mut operation = json!({
            "operationId": format!("{action:?}.{method}"),
            "summary": said.summary,
            "parameters": parameters,
            "responses": responses,
        });
        if let Some(body) = said.body {
            operation["requestBody"] = json!({"required": true, "content": content(body)});
        }
        operation
    }
}

fn response(schema: &str) -> Value {
    match schema {
        "" => json!({"description": "Done."}),
        "Error" | "ErrorTwice" => {
            json!({"description": "Refused or failed.", "content": content(schema)})
        }
        _ => json!({"description": "Done.", "content": content(schema)}),
    }
}

fn content(schema: &str) -> Value {
    match schema {
        "bytes" => json!({
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
        }),
        _ => json!({"application/json": {"schema": schemas::reference(schema)}}),
    }
}

/// The names of a template's holes.
fn holes(template: &str) -> impl Iterator<Item = &str> {
    template
        .split('/')
        .filter_map(|word| word.strip_prefix('{')?.strip_suffix('}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that a management client may ask for, as `METHOD template: action`.
    fn managed() -> impl Iterator<Item = (String, Action)> {
        ROUTES
            .iter()
            .filter(|route| document_of(route).is_some())
            .flat_map(|route| {
                route.methods.iter().map(move |(method, action)| {
                    (format!("{method} {}: {action:?}", route.template), *action)
                })
            })
    }

    #[test]
    fn every_management_route_is_described() {
        let missing: Vec<String> = managed()
            .filter(|(_, action)| described(*action).is_none())
            .map(|(text, _)| text)
            .collect();
        assert!(
            missing.is_empty(),
            "these lack a line in openapi/describe.rs:\n{}",
            missing.join("\n")
        );
    }

    #[test]
    fn no_action_is_described_twice_or_for_nothing() {
        let mut seen = Vec::new();
        for action in describe::actions() {
            assert!(!seen.contains(&action), "{action:?} is described twice");
            assert!(
                managed().any(|(_, routed)| routed == action),
                "{action:?} has no management route"
            );
            seen.push(action);
        }
    }

    #[test]
    fn every_document_holds_together() {
        for document in &DOCUMENTS {
            let value = document.render("http://h");
            let paths = value["paths"].as_object().unwrap();
            assert!(!paths.is_empty(), "{}", document.name);
            check_references(&value, &value);
            for (path, item) in paths {
                for (method, operation) in item.as_object().unwrap() {
                    let declared: Vec<&str> = operation["parameters"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .filter(|parameter| parameter["in"] == "path")
                        .filter_map(|parameter| parameter["name"].as_str())
                        .collect();
                    let holes: Vec<&str> = holes(path).collect();
                    assert_eq!(declared, holes, "{method} {path}");
                    assert!(operation["responses"]["default"].is_object());
                    assert!(operation["responses"].as_object().unwrap().len() > 1);
                }
            }
        }
    }

    #[track_caller]
    fn check_references(part: &Value, document: &Value) {
        match part {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    let pointer = target.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{target}");
                }
                for member in members.values() {
                    check_references(member, document);
                }
            }
            Value::Array(items) => items
                .iter()
                .for_each(|item| check_references(item, document)),
            _ => {}
        }
    }
}
