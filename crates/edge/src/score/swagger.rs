//! The Swagger 2.0 document of a web service, made from its stored definition.
//!
//! Clients depend on its order: exactly one path contains `/execute?`, and it is the second, after
//! `/swagger.json` (the R client takes the verb from the second path).

use faults::{Fault, internal_error};
use graph::{Package, Port};
use serde_json::{Map, Value, json};
use tables::Field;

use super::example::{Example, parameter_type, shown_default, typed};
use crate::jobs;

/// Where the document says the service is.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    /// The service's name, the title of a package that has none.
    pub(crate) service: &'a str,
    /// The endpoint's name.
    pub(crate) endpoint: &'a str,
    /// `http` or `https`.
    pub(crate) scheme: &'a str,
    /// Host and port.
    pub(crate) host: &'a str,
    /// The path up to `/execute`.
    pub(crate) base_path: &'a str,
}

/// Makes the document. Fails with `SwaggerGeneration` where the definition cannot be expressed: two
/// different definitions of one name, or an example that does not match its input.
pub(crate) fn document(package: &Package, place: &Place<'_>) -> Result<Value, Fault> {
    let title = non_empty(&package.title, place.service);
    let description = non_empty(
        &package.description,
        "No description provided for this web service.",
    );
    let mut document = json!({
        "swagger": "2.0",
        "info": {
            "version": "2.0",
            "title": title,
            "description": description,
            "x-endpoint-name": place.endpoint,
        },
        "host": place.host,
        "basePath": place.base_path,
        "schemes": [place.scheme],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "paths": {
            "/swagger.json": {
                "get": {
                    "summary": "Get swagger API document for the web service",
                    "operationId": "getSwaggerDocument",
                    "parameters": [{
                        "name": "api-version",
                        "in": "query",
                        "type": "string",
                        "default": "2.0",
                        "required": false,
                    }],
                    "responses": { "200": { "description": "The API document" } },
                },
            },
            "/execute?api-version=2.0&format=swagger": {
                "post": {
                    "summary": "Execute the web service and get a response synchronously",
                    "operationId": "execute",
                    "parameters": [{
                        "in": "body",
                        "name": "body",
                        "description": "Execution request",
                        "required": false,
                        "schema": { "$ref": "#/definitions/ExecutionRequest" },
                    }],
                    "responses": {
                        "200": {
                            "description": "Execution results",
                            "schema": { "$ref": "#/definitions/ExecutionResults" },
                        },
                        "default": {
                            "description": "Failure",
                            "schema": { "$ref": "#/definitions/ErrorReply" },
                        },
                    },
                    "security": [{ "api_key": [] }],
                },
            },
        },
        "definitions": definitions(package)?,
        "securityDefinitions": {
            "api_key": { "type": "apiKey", "name": "Authorization", "in": "header" },
        },
    });
    if let Some(paths) = document["paths"].as_object_mut() {
        jobs::swagger::add_paths(paths);
    }
    Ok(document)
}

fn non_empty<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.trim().is_empty() {
        otherwise
    } else {
        text
    }
}

fn definitions(package: &Package) -> Result<Value, Fault> {
    let mut definitions = Map::new();
    let mut request = Map::new();
    request.insert("type".into(), "object".into());
    let mut members = Map::new();
    members.insert("Inputs".into(), ports_object(&package.inputs));
    members.insert("GlobalParameters".into(), parameters_object(package));
    request.insert("properties".into(), members.into());
    if !package.inputs.is_empty() {
        request.insert("required".into(), json!(["Inputs"]));
    }
    let example = Example::of(package)?;
    request.insert("example".into(), example.as_rows());
    definitions.insert("ExecutionRequest".into(), request.into());
    definitions.insert(
        "ExecutionResults".into(),
        json!({
            "type": "object",
            "properties": { "Results": ports_object(&package.outputs) },
        }),
    );
    let parameters = parameters_object(package);
    jobs::swagger::add_definitions(&mut definitions, package, &example, parameters);
    for port in package.inputs.iter().chain(&package.outputs) {
        let name = definition_name(port);
        let definition = row(port);
        match definitions.get(&name) {
            None => {
                definitions.insert(name, definition);
            }
            // One input and one output of the same name and columns share a definition.
            Some(there) if *there == definition => {}
            Some(_) => {
                return Err(internal_error::swagger_generation(format!(
                    "two different definitions would be named \"{name}\""
                ))
                .at(&port.name));
            }
        }
    }
    let error = json!({
        "type": "object",
        "properties": {
            "code": { "type": "string" },
            "message": { "type": "string" },
            "details": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "code": { "type": "string" },
                        "target": { "type": "string" },
                        "message": { "type": "string" },
                    },
                },
            },
        },
    });
    definitions.insert("Error".into(), error);
    let reply = json!({
        "type": "object",
        "properties": { "error": { "$ref": "#/definitions/Error" } },
    });
    definitions.insert("ErrorReply".into(), reply);
    Ok(definitions.into())
}

fn definition_name(port: &Port) -> String {
    format!("{}Item", port.name)
}

/// `Inputs` or `Results`: an array of rows by port name.
fn ports_object(ports: &[Port]) -> Value {
    let mut properties = Map::new();
    for port in ports {
        let reference = pointer(&definition_name(port));
        properties.insert(
            port.name.clone(),
            json!({ "type": "array", "items": { "$ref": reference } }),
        );
    }
    json!({ "type": "object", "properties": properties })
}

/// A reference to a definition: escaped as a JSON pointer, then as a part of a URL.
fn pointer(name: &str) -> String {
    let mut out = String::from("#/definitions/");
    for byte in name.replace('~', "~0").replace('/', "~1").bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn row(port: &Port) -> Value {
    let mut properties = Map::new();
    for field in port.schema.fields() {
        properties.insert(field.name.clone(), column(field));
    }
    json!({ "type": "object", "properties": properties })
}

fn column(field: &Field) -> Value {
    let (kind, format) = field.data_type.spec();
    let mut column = Map::new();
    column.insert("type".into(), kind.into());
    if let Some(format) = format {
        column.insert("format".into(), format.into());
    }
    if let Some(categories) = &field.categories {
        let values = categories.iter().map(|c| typed(c, field.data_type));
        column.insert("enum".into(), values.collect());
    }
    if field.nullable {
        column.insert("x-ms-isnullable".into(), true.into());
    }
    if field.ordered {
        column.insert("x-ms-isordered".into(), true.into());
    }
    column.into()
}

fn parameters_object(package: &Package) -> Value {
    let mut properties = Map::new();
    for (name, parameter) in &package.graph_parameters {
        let data_type = parameter_type(parameter.kind);
        let (kind, format) = data_type.spec();
        let mut property = Map::new();
        property.insert("type".into(), kind.into());
        if let Some(format) = format {
            property.insert("format".into(), format.into());
        }
        if !parameter.description.is_empty() {
            property.insert("description".into(), parameter.description.clone().into());
        }
        if let Some(default) = shown_default(package, name, parameter.kind) {
            property.insert("default".into(), typed(default, data_type));
        }
        properties.insert(name.clone(), property.into());
    }
    json!({ "type": "object", "properties": properties })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(change: impl FnOnce(&mut Value)) -> Package {
        let mut value = json!({
            "packageType": "Graph",
            "title": "Sample",
            "input": { "type": "object", "properties": { "input1": { "type": "object", "properties": {
                "age": { "type": "Integer", "format": "Int32" },
                "sex": { "type": "String", "enum": ["Male", "Female"], "x-ms-isnullable": true },
                "fare": { "type": "Number", "format": "Double" },
            }}}},
            "output": { "type": "object", "properties": { "output1": { "type": "object", "properties": {
                "Scored Labels": { "type": "Number", "format": "Double" },
            }}}},
            "exampleRequest": { "inputs": { "input1": [["39", "Male", 7.5]] }, "globalParameters": {"seed": 1} },
            "package": { "nodes": {}, "edges": [], "graphParameters": {
                "seed": { "type": "Int", "links": [] },
                "secret": { "type": "Credential", "links": [] },
            }},
            "parameters": { "seed": { "value": "42" }, "secret": { "value": "hush" } },
        });
        change(&mut value);
        Package::from_json(&value).expect("a valid package")
    }

    fn made(package: &Package) -> Result<Value, Fault> {
        let place = Place {
            service: "census",
            endpoint: "default",
            scheme: "http",
            host: "localhost:8420",
            base_path: "/workspaces/w/services/e",
        };
        document(package, &place)
    }

    #[test]
    fn the_documents_order_is_the_one_that_clients_need() {
        let document = made(&package(|_| {})).unwrap();
        let keys: Vec<&str> = document.as_object().unwrap().keys().map(|k| &**k).collect();
        assert_eq!(
            keys,
            [
                "swagger",
                "info",
                "host",
                "basePath",
                "schemes",
                "consumes",
                "produces",
                "paths",
                "definitions",
                "securityDefinitions"
            ]
        );
        let paths: Vec<&str> = document["paths"]
            .as_object()
            .unwrap()
            .keys()
            .map(|k| &**k)
            .collect();
        assert_eq!(paths[0], "/swagger.json");
        assert_eq!(paths[1], "/execute?api-version=2.0&format=swagger");
        assert_eq!(paths.iter().filter(|p| p.contains("/execute?")).count(), 1);
        assert_eq!(
            paths[2..],
            [
                "/jobs?api-version=2.0",
                "/jobs/{jobId}?api-version=2.0",
                "/jobs/{jobId}/start?api-version=2.0"
            ]
        );
        assert_eq!(document["info"]["x-endpoint-name"], "default");
    }

    #[test]
    fn columns_keep_type_order_categories_and_missing_values() {
        let document = made(&package(|_| {})).unwrap();
        let columns = &document["definitions"]["input1Item"]["properties"];
        let names: Vec<&str> = columns.as_object().unwrap().keys().map(|k| &**k).collect();
        assert_eq!(names, ["age", "sex", "fare"]);
        assert_eq!(
            columns["age"],
            json!({"type": "integer", "format": "int32"})
        );
        assert_eq!(
            columns["sex"],
            json!({"type": "string", "enum": ["Male", "Female"], "x-ms-isnullable": true})
        );
        let output = &document["definitions"]["output1Item"]["properties"]["Scored Labels"];
        assert_eq!(*output, json!({"type": "number", "format": "double"}));
    }

    #[test]
    fn sample_data_is_shown_only_where_it_may_be() {
        let request =
            |p: &Package| made(p).unwrap()["definitions"]["ExecutionRequest"]["example"].clone();
        let shown = request(&package(|_| {}));
        assert_eq!(
            shown["Inputs"]["input1"],
            json!([{"age": "39", "sex": "Male", "fare": 7.5}])
        );
        assert_eq!(shown["GlobalParameters"], json!({"seed": 1}));
        let hidden = request(&package(|v| v["exposeSampleData"] = false.into()));
        assert_eq!(
            hidden["Inputs"]["input1"],
            json!([{"age": 1, "sex": "Male", "fare": 1}])
        );
        assert_eq!(hidden["GlobalParameters"], json!({}));
    }

    #[test]
    fn parameters_show_defaults_and_no_credentials() {
        let document = made(&package(|_| {})).unwrap();
        let parameters =
            &document["definitions"]["ExecutionRequest"]["properties"]["GlobalParameters"];
        assert_eq!(
            parameters["properties"]["seed"],
            json!({"type": "integer", "format": "int32", "default": 42})
        );
        assert!(!document.to_string().contains("hush"));
    }

    #[test]
    fn what_cannot_be_expressed_is_a_fault_that_says_why() {
        let clash = package(|v| {
            let output = v["output"]["properties"]["output1"].take();
            v["output"]["properties"] = json!({ "input1": output });
        });
        let short = package(|v| v["exampleRequest"]["inputs"]["input1"] = json!([["39"]]));
        let other = package(|v| v["exampleRequest"]["inputs"]["other"] = json!([]));
        for (package, word) in [(clash, "input1Item"), (short, "1 cells"), (other, "other")] {
            let fault = made(&package).unwrap_err();
            assert!(fault.is(&faults::rows::InternalError::SwaggerGeneration));
            assert!(fault.details()[0].args[0].contains(word), "{fault:?}");
        }
    }

    #[test]
    fn a_reference_to_an_odd_name_is_escaped() {
        assert_eq!(pointer("a b/c~d%Item"), "#/definitions/a%20b~1c~0d%25Item");
    }
}
