//! Commitment plans, their associations and history, and what endpoints are used.

use serde_json::{Value, json};

use crate::support::{Reply, Request, SUBSCRIPTION, Server, onnx, packages, spec};

const VERSION: &str = "?api-version=2016-05-01-preview";

fn provider(rest: &str) -> String {
    format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.MachineLearning{rest}{VERSION}")
}

/// The id of a plan.
fn id(name: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/team/providers/Microsoft.MachineLearning/commitmentPlans/{name}"
    )
}

fn send(server: &Server, method: &str, path: &str, body: Option<&Value>) -> Reply {
    let request = Request::new(method, path).bearer(&server.token());
    match body {
        Some(body) => request.json(body),
        None => request,
    }
    .send(server.address)
}

#[track_caller]
fn ok(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn plan(sku: &str, capacity: u32) -> Value {
    json!({
        "location": "southcentralus",
        "sku": {"name": sku, "tier": "Standard", "capacity": capacity}
    })
}

#[track_caller]
fn put_plan(server: &Server, name: &str) -> Value {
    let path = format!("{}{VERSION}", id(name));
    let reply = send(server, "PUT", &path, Some(&plan("S1", 1)));
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()
}

/// Deploys `y = 2·x + 1` under a plan.
fn deploy(server: &Server, name: &str, plan: &str) -> crate::support::Service {
    let model = server.upload(&onnx::linear(&[2.0], 1.0));
    let mut definition = packages::regression(&model, &["x"]);
    definition["properties"]["commitmentPlan"] = json!({"id": plan});
    server.deploy(name, &definition)
}

#[test]
fn a_plan_has_the_quantities_that_were_observed() {
    let server = Server::start();
    let path = format!("{}{VERSION}", id("Plan"));
    let made = put_plan(&server, "Plan");
    assert_eq!(made["id"], id("Plan"));
    assert_eq!(made["location"], "southcentralus");
    let hours = "/properties/includedQuantities/machineLearningWebServiceComputeHours/allowance";
    let calls = "/properties/includedQuantities/machineLearningWebServiceTransactions/allowance";
    assert_eq!(made.pointer(hours), Some(&json!(25.0)));
    assert_eq!(made.pointer(calls), Some(&json!(100_000.0)));
    for (name, value) in [
        ("maxAssociationLimit", json!(10_000)),
        ("maxCapacityLimit", json!(10)),
        ("minCapacityLimit", json!(1)),
        ("refillFrequencyInDays", json!(30)),
        ("chargeForOverage", json!(true)),
        ("chargeForPlan", json!(true)),
        ("suspendPlanOnOverage", json!(false)),
    ] {
        assert_eq!(made["properties"][name], value, "{name}");
    }
    assert_eq!(ok(&send(&server, "GET", &path, None)), made);

    let patch = json!({"sku": {"name": "s2", "tier": "standard", "capacity": 2}});
    let larger = ok(&send(&server, "PATCH", &path, Some(&patch)));
    assert_eq!(larger.pointer(hours), Some(&json!(500.0)));
    assert_eq!(larger.pointer(calls), Some(&json!(2_000_000.0)));
    assert_ne!(larger["etag"], made["etag"]);
    let tagged = ok(&send(
        &server,
        "PATCH",
        &path,
        Some(&json!({"tags": {"a": "b"}})),
    ));
    assert_eq!(tagged["sku"], larger["sku"]);
    assert_eq!(tagged["tags"], json!({"a": "b"}));

    // Whoever has seen an older one is told, in the body or in the header.
    let mut stale = plan("S1", 1);
    stale["etag"] = made["etag"].clone();
    assert_eq!(send(&server, "PUT", &path, Some(&stale)).status, 409);
    let delete = |etag: &str| {
        Request::new("DELETE", &path)
            .bearer(&server.token())
            .header("If-Match", etag)
            .send(server.address)
            .status
    };
    assert_eq!(delete(made["etag"].as_str().unwrap()), 409);
    assert_eq!(
        delete(&format!("\"{}\"", tagged["etag"].as_str().unwrap())),
        200
    );
    assert_eq!(send(&server, "DELETE", &path, None).status, 200);
    let reply = send(&server, "GET", &path, None);
    assert_eq!(reply.status, 404);
    assert_eq!(
        reply.json()["error"]["details"][0]["code"],
        "ResourceNotFound"
    );
    assert_eq!(send(&server, "PATCH", &path, Some(&patch)).status, 404);
}

#[test]
fn what_is_wrong_with_a_plan_is_named() {
    let server = Server::start();
    let path = format!("{}{VERSION}", id("plan"));
    for (body, code, target) in [
        (
            json!({"sku": {"name": "S1"}}),
            "RequestBodyInvalid",
            "location",
        ),
        (json!({"location": "x"}), "RequestBodyInvalid", "sku"),
        (
            json!({"location": "x", "sku": {}}),
            "RequestBodyInvalid",
            "sku/name",
        ),
        (
            json!({"location": "x", "sku": {"name": "S9"}}),
            "BadParameterValue",
            "sku/name",
        ),
        (plan("S1", 11), "BadParameterValue", "sku/capacity"),
        (plan("S1", 0), "BadParameterValue", "sku/capacity"),
        (plan("DevTest", 1), "BadParameterValue", "sku/tier"),
        (
            json!({"location": "x", "sku": {"name": "S1", "capacity": 1.5}}),
            "RequestBodyInvalid",
            "sku/capacity",
        ),
    ] {
        let reply = send(&server, "PUT", &path, Some(&body));
        assert_eq!(reply.status, 400, "{body}");
        let detail = reply.json()["error"]["details"][0].clone();
        assert_eq!(
            (&detail["code"], &detail["target"]),
            (&json!(code), &json!(target))
        );
    }
    put_plan(&server, "plan");
    let mut moved = plan("S1", 1);
    moved["location"] = json!("West Europe");
    assert_eq!(send(&server, "PUT", &path, Some(&moved)).status, 409);
}

#[test]
fn a_services_use_counts_against_its_plan() {
    let server = Server::start();
    put_plan(&server, "small");
    put_plan(&server, "large");
    let service = deploy(&server, "census", &id("SMALL"));
    let of = |plan: &str, rest: &str| format!("{}{rest}{VERSION}", id(plan));
    let list = ok(&send(
        &server,
        "GET",
        &of("small", "/commitmentAssociations"),
        None,
    ));
    let association = list["value"][0].clone();
    assert_eq!(association["properties"]["commitmentPlanId"], id("small"));
    let resource = association["properties"]["associatedResourceId"]
        .as_str()
        .unwrap();
    assert!(resource.ends_with("/webServices/census"), "{resource}");
    let name = association["name"].as_str().unwrap();
    let one = format!("/commitmentAssociations/{name}");
    assert_eq!(
        ok(&send(&server, "GET", &of("small", &one), None)),
        association
    );
    assert_eq!(send(&server, "GET", &of("large", &one), None).status, 404);

    for _ in 0..3 {
        assert_eq!(service.score_x(1.0).status, 200);
    }
    // A refused call is none.
    assert_eq!(service.score(&json!({"Inputs": {}})).status, 400);
    let history = ok(&send(&server, "GET", &of("small", "/usageHistory"), None));
    let days = history["value"].as_array().unwrap();
    let calls = "machineLearningWebServiceTransactions";
    let sum = |map: &str| {
        days.iter()
            .map(|day| day[map][calls].as_f64().unwrap())
            .sum::<f64>()
    };
    assert_eq!(sum("usage"), 3.0);
    assert_eq!(sum("planUsageOverage"), 0.0);
    let last = days.last().unwrap();
    assert_eq!(last["planQuantitiesAfterUsage"][calls], 99_997.0);
    let plan = ok(&send(&server, "GET", &of("small", ""), None));
    let quantity = &plan["properties"]["includedQuantities"][calls];
    assert_eq!(quantity["amount"], 99_997.0);

    assert_eq!(send(&server, "DELETE", &of("small", ""), None).status, 409);
    let to = |plan: &str| Some(json!({"destinationPlanId": plan}));
    let path = of("small", &format!("{one}/move"));
    assert_eq!(
        send(&server, "POST", &path, to("/plans/x").as_ref()).status,
        400
    );
    assert_eq!(
        send(&server, "POST", &path, to(&id("nobody")).as_ref()).status,
        404
    );
    let moved = ok(&send(&server, "POST", &path, to(&id("large")).as_ref()));
    assert_eq!(moved["properties"]["commitmentPlanId"], id("large"));
    assert_eq!(service.score_x(1.0).status, 200);
    let history = ok(&send(&server, "GET", &of("large", "/usageHistory"), None));
    assert_eq!(history["value"][0]["usage"][calls], 1.0);
    assert_eq!(send(&server, "DELETE", &of("small", ""), None).status, 200);

    // A definition taken along from elsewhere names a plan of there; one of here must be here.
    let elsewhere = id("old").replace(SUBSCRIPTION, "11111111-1111-4111-8111-111111111111");
    deploy(&server, "imported", &elsewhere);
    let model = server.upload(&onnx::linear(&[2.0], 1.0));
    let mut definition = packages::regression(&model, &["x"]);
    definition["properties"]["commitmentPlan"] = json!({"id": id("nobody")});
    let reply = send(
        &server,
        "PUT",
        &server.arm_path("missing"),
        Some(&definition),
    );
    let reply = server.outcome(reply);
    assert_eq!(reply.status, 404, "{}", reply.text());
    let detail = reply.json()["error"]["details"][0].clone();
    assert_eq!(detail["code"], "ResourceNotFound");
    assert_eq!(detail["target"], "commitmentPlan/id");
}

#[test]
fn usage_is_told_by_day_and_outlives_the_process() {
    let mut server = Server::start();
    let service = server.deploy_linear("linear");
    assert_eq!(service.score_x(1.0).status, 200);
    let usage = |server: &Server, query: &str| {
        send(server, "GET", &format!("/umpire/v1/usage{query}"), None)
    };
    let calls = |list: &Value| -> u64 {
        let lines = list["lines"].as_array().unwrap();
        lines
            .iter()
            .map(|line| line["transactions"].as_u64().unwrap())
            .sum()
    };
    let list = ok(&usage(&server, ""));
    assert_eq!(calls(&list), 1);
    assert_eq!(list["lines"][0]["endpoint"], "linear/default");
    assert_eq!(list["lines"][0]["endpoint_id"], service.endpoint.as_str());
    assert!(list["lines"][0]["compute_seconds"].as_f64().unwrap() > 0.0);

    // What nobody has asked for is written down at the end.
    assert_eq!(service.score_x(1.0).status, 200);
    assert!(server.end(libc::SIGTERM).success());
    server.start_again();
    assert_eq!(calls(&ok(&usage(&server, ""))), 2);
    let before = ok(&usage(&server, "?from=2020-01-01&to=2020-12-31"));
    assert_eq!((calls(&before), &before["to"]), (0, &json!("2020-12-31")));
    for wrong in ["?from=yesterday", "?to=2026-02-30", "?from=2000-01-01"] {
        let reply = usage(&server, wrong);
        assert_eq!(reply.status, 400, "{wrong}");
        assert_eq!(
            reply.json()["error"]["details"][0]["code"],
            "InvalidQueryParameter"
        );
    }
    let output = crate::support::command()
        .args(["usage", "--json"])
        .env("UMPIRE_SERVER", format!("http://{}", server.address))
        .env("UMPIRE_DATA", server.data())
        .output()
        .unwrap();
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(calls(&printed), 2);
}

#[test]
fn the_provider_tells_of_itself() {
    let server = Server::start();
    let info = ok(&send(&server, "GET", &provider(""), None));
    assert_eq!(info["registrationState"], "Registered");
    let types: Vec<&str> = info["resourceTypes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|kind| kind["resourceType"].as_str())
        .collect();
    assert_eq!(
        types,
        [
            "Workspaces",
            "webServices",
            "operations",
            "locations",
            "locations/operations",
            "locations/operationsStatus",
            "commitmentPlans"
        ]
    );
    let own = provider("").replace("2016-05-01-preview", "2016-09-01");
    assert_eq!(ok(&send(&server, "GET", &own, None)), info);
    for version in [
        "2016-04-01",
        "2016-05-01-preview",
        "2017-01-01",
        "2019-10-01",
    ] {
        let path = format!("/providers/Microsoft.MachineLearning/operations?api-version={version}");
        let list = ok(&send(&server, "GET", &path, None));
        let all = list["value"].as_array().unwrap();
        assert!(
            all.iter()
                .any(|one| one["name"] == "Microsoft.MachineLearning/webServices/read")
        );
    }
    for path in [
        "/providers/Microsoft.MachineLearning/operations?api-version=1.0".to_owned(),
        provider("").replace(VERSION, ""),
    ] {
        let reply = send(&server, "GET", &path, None);
        assert_eq!(
            reply.json()["error"]["details"][0]["code"],
            "BadVersionCall"
        );
    }
    let skus = ok(&send(&server, "GET", &provider("/skus"), None));
    let names: Vec<&Value> = skus["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["name"])
        .collect();
    assert_eq!(names, ["DevTest", "S1", "S2", "S3"]);
}

#[test]
fn a_plans_reply_has_every_published_property() {
    let Some(document) = spec::document("preview/2016-05-01-preview/commitmentPlans.json") else {
        return;
    };
    let server = Server::start();
    let made = put_plan(&server, "plan");
    let published = |name: &str| -> Vec<String> {
        let properties = document["definitions"][name]["properties"]
            .as_object()
            .unwrap();
        properties.keys().cloned().collect()
    };
    for name in published("CommitmentPlan") {
        assert!(made.get(&name).is_some(), "{name}");
    }
    for name in published("CommitmentPlanProperties") {
        assert!(made["properties"].get(&name).is_some(), "{name}");
    }
    let skus = ok(&send(&server, "GET", &provider("/skus"), None));
    for name in published("CatalogSku") {
        assert!(skus["value"][1].get(&name).is_some(), "{name}");
    }
}
