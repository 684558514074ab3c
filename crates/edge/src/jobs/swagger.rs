//! The batch API in a service's Swagger document. Paths, names and summaries are those of the
//! published documents, which generated clients are made from.

use graph::{Package, Port};
use serde_json::{Map, Value, json};

use crate::score::example::Example;

/// Adds the paths, behind those of scoring: clients count paths.
pub(crate) fn add_paths(paths: &mut Map<String, Value>) {
    let job = json!({
        "name": "jobId",
        "in": "path",
        "type": "string",
        "description": "What submitting the job answered",
        "required": true,
    });
    let operation = |summary: &str, id: &str, parameters: Value, success: (&str, Value)| {
        let (status, reply) = success;
        let mut responses = Map::new();
        responses.insert(status.into(), reply);
        let failure = json!({
            "description": "Failure",
            "schema": { "$ref": "#/definitions/ErrorReply" },
        });
        responses.insert("default".into(), failure);
        json!({
            "summary": summary,
            "operationId": id,
            "parameters": parameters,
            "responses": responses,
            "security": [{ "api_key": [] }],
        })
    };
    let nothing = || json!({ "description": "Done" });
    let submit = operation(
        "Submit an asynchronous job to execute the web service",
        "submitjob",
        json!([{
            "in": "body",
            "name": "body",
            "description": "Batch execution request",
            "required": false,
            "schema": { "$ref": "#/definitions/BatchExecutionRequest" },
        }]),
        (
            "200",
            json!({ "description": "The id of the job", "schema": { "type": "string" } }),
        ),
    );
    let status = operation(
        // As the published documents have it.
        "Get the status for a give job",
        "getjobstatus",
        json!([job]),
        (
            "200",
            json!({
                "description": "The status",
                "schema": { "$ref": "#/definitions/BatchExecutionStatus" },
            }),
        ),
    );
    let cancel = operation(
        "Cancel a job",
        "canceljob",
        json!([job]),
        ("204", nothing()),
    );
    let start = operation(
        "Start running a job",
        "startjob",
        json!([job]),
        ("204", nothing()),
    );
    for (path, item) in [
        ("/jobs?api-version=2.0", json!({ "post": submit })),
        (
            "/jobs/{jobId}?api-version=2.0",
            json!({ "get": status, "delete": cancel }),
        ),
        (
            "/jobs/{jobId}/start?api-version=2.0",
            json!({ "post": start }),
        ),
    ] {
        paths.insert(path.into(), item);
    }
}

/// Adds the definitions; `parameters` is the schema of `GlobalParameters`.
pub(crate) fn add_definitions(
    definitions: &mut Map<String, Value>,
    package: &Package,
    example: &Example,
    parameters: Value,
) {
    let reference = || json!({ "$ref": "#/definitions/BlobReference" });
    let by_name = |ports: &[Port]| {
        let named = ports.iter().map(|port| (port.name.clone(), reference()));
        json!({ "type": "object", "properties": named.collect::<Map<_, _>>() })
    };
    let text = || json!({ "type": "string" });
    let time = || json!({ "type": "string", "format": "date-time" });
    let count = || json!({ "type": "integer", "format": "int64" });
    let number = || json!({ "type": "number", "format": "double" });
    definitions.insert(
        "BatchExecutionRequest".into(),
        json!({
            "type": "object",
            "properties": {
                "Input": reference(),
                "Inputs": by_name(&package.inputs),
                "Outputs": by_name(&package.outputs),
                "GlobalParameters": parameters,
                "OnBadRow": { "type": "string", "enum": ["Fail", "Reject"] },
                "Rejects": reference(),
            },
            "example": sample_request(package, example),
        }),
    );
    definitions.insert(
        "BatchExecutionStatus".into(),
        json!({
            "type": "object",
            "properties": {
                "StatusCode": {
                    "type": "string",
                    "enum": ["NotStarted", "Running", "Failed", "Cancelled", "Finished"],
                },
                "Results": by_name(&package.outputs),
                "Details": text(),
                "State": {
                    "type": "string",
                    "enum": ["NotStarted", "Queued", "Running", "Failed", "Cancelled", "Finished"],
                },
                "CreatedAt": time(),
                "StartTime": time(),
                "EndTime": time(),
                "Error": { "$ref": "#/definitions/Error" },
                "Progress": {
                    "type": "object",
                    "properties": {
                        "Rows": count(),
                        "Rejected": count(),
                        "BytesRead": count(),
                        "BytesTotal": count(),
                        "ChunksDone": count(),
                        "ChunksTotal": count(),
                        "Percent": number(),
                        "RowsPerSecond": number(),
                        "SecondsLeft": number(),
                    },
                },
                "Rejects": reference(),
            },
        }),
    );
    definitions.insert(
        "BlobReference".into(),
        json!({
            "type": "object",
            "properties": {
                "ConnectionString": text(),
                "RelativeLocation": text(),
                "BaseLocation": text(),
                "SasBlobToken": text(),
            },
        }),
    );
}

/// A job over blobs of the workspace's own store.
pub(crate) fn sample_request(package: &Package, example: &Example) -> Value {
    let blobs = |ports: &[Port], at: &str| {
        let named = ports.iter().map(|port| {
            let blob = json!({ "RelativeLocation": format!("{at}/{}", sample_file(&port.name)) });
            (port.name.clone(), blob)
        });
        named.collect::<Map<_, _>>()
    };
    json!({
        "Inputs": blobs(&package.inputs, "rows"),
        "Outputs": blobs(&package.outputs, "results"),
        "GlobalParameters": example.parameters,
    })
}

/// What a sample calls the file of a port of that name.
pub(crate) fn sample_file(port: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = port.chars().map(plain).take(100).collect();
    format!("{name}.csv")
}
