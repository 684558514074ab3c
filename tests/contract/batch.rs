//! Rows of the batch API that a client provokes when it submits, starts or asks.

use faults::{bad_argument, internal_error, invalid_operation};
use serde_json::{Value, json};

use crate::support::batch::own;
use crate::support::storage::{SIGNATURE, Storage};
use crate::support::{Reply, Request, Server, Service, Setup, assert_fault, packages};

/// A service with two inputs and two outputs: each input to the output of its number.
fn two_ports(server: &Server, name: &str) -> Service {
    server.deploy(name, &two_ports_package())
}

fn two_ports_package() -> Value {
    let mut package = packages::pass_through(&["x"]);
    let properties = &mut package["properties"];
    properties["input"]["properties"]["input2"] = packages::doubles(&["x"]);
    properties["output"]["properties"]["output2"] = packages::doubles(&["x"]);
    properties["package"]["nodes"]["node3"] = json!({"inputId": "input2"});
    properties["package"]["nodes"]["node4"] = json!({"outputId": "output2"});
    properties["package"]["edges"]
        .as_array_mut()
        .expect("edges")
        .push(json!({"sourceNodeId": "node3", "targetNodeId": "node4"}));
    package
}

/// The batch paths of both URL families.
fn families(service: &Service) -> [String; 2] {
    let subscription = crate::support::SUBSCRIPTION;
    [
        format!(
            "/workspaces/{}/services/{}",
            service.workspace, service.endpoint
        ),
        format!("/subscriptions/{subscription}/services/{}", service.service),
    ]
}

/// An input left out, of two; and no word on inputs.
pub fn batch_job_inputs_not_specified() {
    let server = Server::start();
    let service = two_ports(&server, "two");
    for (body, missing) in [
        (json!({"Inputs": {"input1": own("batch/a.csv")}}), "input2"),
        (json!({"GlobalParameters": {}}), "input1, input2"),
        (json!({"Inputs": null, "Outputs": {}}), "input1, input2"),
    ] {
        assert_fault(
            &service.submit(&body),
            bad_argument::batch_job_inputs_not_specified(missing),
        );
    }
}

/// More inputs than the service has.
pub fn batch_job_inputs_too_many_specified() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let body = json!({"Inputs": {"input1": own("batch/a.csv"), "input2": own("batch/b.csv")}});
    assert_fault(
        &service.submit(&body),
        bad_argument::batch_job_inputs_too_many_specified("input1"),
    );
    // As many as there are, and one of another name.
    let body = json!({"Inputs": {"Input1": own("batch/a.csv")}});
    assert_fault(
        &service.submit(&body),
        bad_argument::invalid_input_names("Input1"),
    );
}

/// One input, and several.
pub fn duplicate_input_in_batch_call() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let body = json!({"Input": own("batch/a.csv"), "Inputs": {"input1": own("batch/a.csv")}});
    assert_fault(
        &service.submit(&body),
        bad_argument::duplicate_input_in_batch_call(),
    );
}

/// An override of an output that the service does not have: names have their case.
pub fn invalid_output_override_name() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let body = json!({
        "Inputs": {"input1": own("batch/a.csv")},
        "Outputs": {"Output1": own("batch/b.csv")},
    });
    assert_fault(
        &service.submit(&body),
        bad_argument::invalid_output_override_name("Output1"),
    );
}

/// An input's reference that is null, empty, blank, or misspelt and so empty.
pub fn missing_input_blob_information() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    for reference in [
        Value::Null,
        json!({}),
        json!({"ConnectionString": null, "RelativeLocation": null, "BaseLocation": null, "SasBlobToken": null}),
        json!({"ConnectionString": "", "RelativeLocation": " "}),
        json!({"ConnetionString": "AccountName=a", "RelativeLokation": "c/b.csv"}),
    ] {
        assert_fault(
            &service.submit(&json!({"Inputs": {"input1": reference}})),
            bad_argument::missing_input_blob_information().at("input1"),
        );
    }
}

/// The same of an output.
pub fn missing_output_override_specification() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    for reference in [Value::Null, json!({}), json!({"RelativeLocation": ""})] {
        let body = json!({
            "Inputs": {"input1": own("batch/a.csv")},
            "Outputs": {"output1": reference},
        });
        assert_fault(
            &service.submit(&body),
            bad_argument::missing_output_override_specification("output1").at("output1"),
        );
    }
}

/// Calls about a job whose URL was made with an id that was empty.
pub fn missing_job_id() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    for family in families(&service) {
        for (method, rest) in [
            ("GET", "/jobs/?api-version=2.0"),
            ("DELETE", "/jobs/?api-version=2.0"),
            ("DELETE", "/jobs"),
            ("GET", "/jobs/"),
            ("POST", "/jobs//start?api-version=2.0"),
        ] {
            let reply = Request::new(method, &format!("{family}{rest}"))
                .bearer(&service.primary)
                .send(server.address);
            assert_fault(&reply, bad_argument::missing_job_id());
        }
    }
}

/// The data of a workspace lies under the customer's own key, and an output is to lie in the
/// installation's store.
pub fn missing_required_output_overrides() {
    let server = Server::start();
    let service = two_ports(&server, "encrypted");
    let workspace = format!(
        "/subscriptions/{}/resourceGroups/default/providers/Microsoft.MachineLearning/workspaces/default?api-version=2019-10-01",
        crate::support::SUBSCRIPTION
    );
    let patched = Request::new("PATCH", &workspace)
        .bearer(&server.token())
        .json(&json!({"properties": {"keyVaultIdentifierId": "https://vault/keys/k"}}))
        .send(server.address);
    assert_eq!(patched.status, 200, "{}", patched.text());
    let inputs = json!({"input1": own("batch/a.csv"), "input2": own("batch/b.csv")});
    for (outputs, missing) in [
        (Value::Null, "output1, output2"),
        (json!({}), "output1, output2"),
        (json!({"output2": own("batch/c.csv")}), "output1"),
    ] {
        assert_fault(
            &service.submit(&json!({"Inputs": inputs, "Outputs": outputs})),
            bad_argument::missing_required_output_overrides(missing),
        );
    }
}

/// A job that was cancelled, and one that has finished, are not started again.
pub fn cannot_start_job() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let body = with_input(&service);
    let start = |job: &str| service.ask_jobs("POST", &format!("/{job}/start"));
    let job = service.submitted(&body);
    assert_eq!(service.ask_jobs("DELETE", &format!("/{job}")).status, 204);
    assert_fault(
        &start(&job),
        invalid_operation::cannot_start_job("Cancelled"),
    );
    let job = service.submitted(&body);
    service.start_job(&job);
    service.finished_job(&job);
    assert_fault(
        &start(&job),
        invalid_operation::cannot_start_job("Finished"),
    );
}

/// The body of a job over a blob of one row.
fn with_input(service: &Service) -> Value {
    json!({"Inputs": {"input1": service.upload("in.csv", b"x\n1\n")}})
}

/// A job that was submitted before the ledger's file was changed; the server runs again.
fn with_ledger(change: &str) -> (Server, Service, String) {
    let mut server = Server::start();
    let service = server.deploy_linear("linear");
    let body = with_input(&service);
    let job = service.submitted(&body);
    server.end(libc::SIGTERM);
    let ledger =
        rusqlite::Connection::open(server.data().join("ledger.sqlite")).expect("the ledger");
    assert_eq!(ledger.execute(change, []).expect("the change"), 1);
    drop(ledger);
    server.start_again();
    let service = Service {
        address: server.address,
        ..service
    };
    (server, service, job)
}

/// What a job was asked to do is gone from the ledger when its turn comes.
pub fn missing_task_instance() {
    for gone in ["NULL", "x''"] {
        let (_server, service, job) = with_ledger(&format!("UPDATE jobs SET request = {gone}"));
        service.start_job(&job);
        let ended = service.ended_job(&job);
        assert_eq!(ended["StatusCode"], "Failed", "{ended}");
        let fault = internal_error::missing_task_instance();
        let details = ended["Details"].as_str().expect("a text");
        assert!(
            details.contains(&format!(
                "{} MissingTaskInstance: {}, Error code: InternalError, Http status code: 500",
                fault.class().en(),
                faults::rows::InternalError::MissingTaskInstance.en,
            )),
            "{details}"
        );
    }
}

/// A status in the ledger that no job has.
pub fn unknown_job_status_code() {
    let (_server, service, job) = with_ledger("UPDATE jobs SET state = 9");
    for (method, rest) in [
        ("GET", format!("/{job}")),
        ("POST", format!("/{job}/start")),
        ("DELETE", format!("/{job}")),
        ("GET", String::new()),
    ] {
        assert_fault(
            &service.ask_jobs(method, &rest),
            internal_error::unknown_job_status_code("9"),
        );
    }
}

/// A service beside a blob service that somebody else runs.
struct Beside {
    storage: Storage,
    _server: Server,
    service: Service,
}

impl Beside {
    fn start() -> Beside {
        let storage = Storage::start();
        storage.put("container/in.csv", b"x\n1\n".to_vec());
        let config = format!("{}\nretries = 0", storage.allowed());
        let server = Setup::default().config(&config).start();
        let service = server.deploy_linear("linear");
        Beside {
            storage,
            _server: server,
            service,
        }
    }

    fn reference(&self, relative: &str) -> Value {
        json!({
            "BaseLocation": self.storage.base(),
            "RelativeLocation": relative,
            "SasBlobToken": SIGNATURE,
        })
    }

    /// How a message names such a reference.
    fn shown(&self, relative: &str) -> String {
        format!("{}{relative}", self.storage.base())
    }

    #[track_caller]
    fn submit(&self, input: Value) -> Reply {
        self.service.submit(&json!({"Inputs": {"input1": input}}))
    }

    /// A job whose input is there, and whose output is to lie there.
    #[track_caller]
    fn submit_output(&self, output: Value) -> Reply {
        self.service.submit(&json!({
            "Inputs": {"input1": self.reference("container/in.csv")},
            "Outputs": {"output1": output},
        }))
    }
}

/// Inputs that are not there, or not to be read; the service's own words are told. (Retraining
/// provokes the row too.)
pub fn blob_not_found() {
    let beside = Beside::start();
    let absent = "container/absent.csv";
    let said = "404 BlobNotFound: The specified blob does not exist.";
    assert_fault(
        &beside.submit(beside.reference(absent)),
        bad_argument::blob_not_found(beside.shown(absent), said).at("input1"),
    );
    let mut unsigned = beside.reference("container/in.csv");
    unsigned["SasBlobToken"] = "?sv=2015-02-21&sr=b&sig=wrong&sp=r".into();
    assert_fault(
        &beside.submit(unsigned),
        bad_argument::blob_not_found(
            beside.shown("container/in.csv"),
            "403 AuthenticationFailed: The signature is not right.",
        )
        .at("input1"),
    );
    // In the workspace's own store.
    let reply = beside.submit(own("batch/absent.csv"));
    assert_eq!(
        (reply.status, reply.header("x-ms-error-code")),
        (400, Some("BlobNotFound")),
        "{}",
        reply.text()
    );
}

/// Outputs that may not be written.
pub fn container_refuses_writing() {
    let beside = Beside::start();
    assert_fault(
        &beside.submit_output(beside.reference("container/out.csv")),
        bad_argument::container_validation_failed(
            "403 AuthorizationPermissionMismatch: \
             This request is not authorized to perform this operation.",
        )
        .at("output1"),
    );
}

/// A blob service that refuses without a word on why.
pub fn storage_says_nothing() {
    let beside = Beside::start();
    for status in [400, 418] {
        let (input, output) = ("container/odd.csv", "container/odd-out.csv");
        beside.storage.refuse(input, status);
        beside.storage.refuse(output, status);
        assert_fault(
            &beside.submit(beside.reference(input)),
            bad_argument::unknown_error().at("input1"),
        );
        assert_fault(
            &beside.submit_output(beside.reference(output)),
            bad_argument::unknown_error().at("output1"),
        );
    }
}

/// References whose parts contradict each other, or lead where they may not.
pub fn invalid_blob() {
    let beside = Beside::start();
    let good = beside.reference("container/in.csv");
    let with = |name: &str, value: &str| {
        let mut reference = good.clone();
        reference[name] = value.into();
        reference
    };
    for reference in [
        with("ConnectionString", "AccountName=a;AccountKey=aHVzaA=="),
        with("BaseLocation", "ftp://files/"),
        with("BaseLocation", "not a URL"),
        with("BaseLocation", "http://192.0.2.7/"),
        with("SasBlobToken", "no query"),
        own("gopher://container/in.csv"),
        own("file:///etc/passwd.csv"),
        own("s3://bucket/in.csv"),
        own("az://account/container/in.csv"),
    ] {
        let reply = beside.submit(reference.clone());
        assert_eq!(
            (reply.status, reply.header("x-ms-error-code")),
            (400, Some("InvalidBlob")),
            "{reference}: {}",
            reply.text()
        );
        assert_eq!(reply.json()["error"]["details"][0]["target"], "input1");
    }
    assert!(beside.storage.asked().is_empty(), "nobody was asked");
}

/// Connection strings that do not parse, or lack what they need; the key is not told.
pub fn invalid_blob_connection_string() {
    let beside = Beside::start();
    for text in [
        "nonsense",
        "DefaultEndpointsProtocol=https;AccountName=mine",
        "DefaultEndpointsProtocol=https;AccountKey=aHVzaA==",
        "AccountName=mine;AccountKey=not base64 hush",
        "BlobEndpoint=ftp://files;SharedAccessSignature=sig=hush",
    ] {
        let reference = json!({"ConnectionString": text, "RelativeLocation": "c/in.csv"});
        for reply in [
            beside.submit(reference.clone()),
            beside.submit_output(reference),
        ] {
            assert_eq!(
                (reply.status, reply.header("x-ms-error-code")),
                (400, Some("InvalidBlobConnectionString")),
                "{text}: {}",
                reply.text()
            );
            let told = reply.text();
            assert!(!told.contains("hush") && !told.contains("aHVzaA"), "{told}");
        }
    }
}

/// Inputs and outputs whose names say nothing, or what the port cannot be.
pub fn invalid_blob_extension() {
    let beside = Beside::start();
    for relative in [
        "container/training/input",
        "container/in.xlsx",
        "container/model.ilearner",
    ] {
        let replies = [
            beside.submit(beside.reference(relative)),
            beside.submit_output(beside.reference(relative)),
        ];
        for (reply, target) in replies.iter().zip(["input1", "output1"]) {
            let told = reply.json();
            let detail = &told["error"]["details"][0];
            assert_eq!(detail["code"], "InvalidBlobExtension", "{told}");
            assert_eq!(detail["target"], target);
            let message = detail["message"].as_str().expect("a message");
            for part in [beside.shown(relative).as_str(), ".csv, .tsv, .arff"] {
                assert!(message.contains(part), "{message}");
            }
        }
    }
}

/// Locations whose blob container has no name.
pub fn container_is_empty() {
    let beside = Beside::start();
    for reference in [beside.reference("//in.csv"), own("//in.csv")] {
        assert_fault(
            &beside.submit(reference.clone()),
            bad_argument::container_is_empty().at("input1"),
        );
        assert_fault(
            &beside.submit_output(reference),
            bad_argument::container_is_empty().at("output1"),
        );
    }
}

/// Names that no blob container has.
pub fn container_segment_invalid() {
    let beside = Beside::start();
    for container in ["Container", "c", "two--hyphens", "-first"] {
        let relative = format!("{container}/in.csv");
        for reference in [beside.reference(&relative), own(&relative)] {
            assert_fault(
                &beside.submit(reference),
                bad_argument::container_segment_invalid().at("input1"),
            );
        }
    }
}

/// A blob container without a blob.
pub fn input_blob_relative_location_invalid() {
    let beside = Beside::start();
    let mut nothing = beside.reference("");
    nothing["RelativeLocation"] = Value::Null;
    for reference in [
        nothing,
        beside.reference("container"),
        beside.reference("container/"),
        own("container/"),
        json!({"ConnectionString": "UseDevelopmentStorage=true", "RelativeLocation": "/container"}),
    ] {
        assert_fault(
            &beside.submit(reference),
            bad_argument::input_blob_relative_location_invalid().at("input1"),
        );
    }
}
