//! Who may do what: management tokens from their making to their end, roles and scopes on every
//! route, the audit trail, and slower answers to bad credentials.

use serde_json::{Value, json};

use crate::support::{
    Connection, Reply, Request, SUBSCRIPTION, Server, Setup, onnx, packages, until,
};

/// Makes a token over HTTP.
#[track_caller]
fn token(server: &Server, name: &str, scope: &str, role: &str) -> String {
    let body = json!({"name": name, "scope": scope, "role": role});
    let made = ask(server, "POST", "/umpire/v1/tokens", &server.token(), &body);
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.header("cache-control"), Some("no-store"));
    made.json()["token"].as_str().expect("a token").to_owned()
}

fn ask(server: &Server, method: &str, path: &str, token: &str, body: &Value) -> Reply {
    let request = Request::new(method, path).bearer(token);
    match body {
        Value::Null => request,
        body => request.json(body),
    }
    .send(server.address)
}

fn get(server: &Server, path: &str, token: &str) -> Reply {
    ask(server, "GET", path, token, &Value::Null)
}

#[track_caller]
fn assert_code(reply: &Reply, status: u16, code: &str) {
    assert_eq!(
        (reply.status, reply.header("x-ms-error-code")),
        (status, Some(code)),
        "{}",
        reply.text()
    );
}

const ADMIN: &str = "AdminRequestUnauthorized";
const MANAGEMENT: &str = "ManagementRequestUnauthorized";

fn names(list: &Reply, of: &str) -> Vec<String> {
    let list = list.json();
    let all = list[of].as_array().unwrap_or_else(|| panic!("{list}"));
    let name = |v: &Value| v["name"].as_str().expect("a name").to_owned();
    all.iter().map(name).collect()
}

#[test]
fn a_token_works_within_its_scope_until_it_is_revoked() {
    let mut server = Server::start();
    let mine = server.deploy_linear("mine");
    server.deploy_linear("other");

    // Made by the command line, which prints it alone on standard output.
    let command = |arguments: &[&str]| {
        let output = crate::support::command()
            .args(arguments)
            .env("UMPIRE_SERVER", format!("http://{}", server.address))
            .env("UMPIRE_DATA", server.data())
            .output()
            .expect("the program runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text, errors)
    };
    let (status, text, errors) = command(&["token", "create", "ci", "--scope", "service:mine"]);
    assert_eq!(status, Some(0), "{errors}");
    let token = text.trim().to_owned();
    assert!(token.starts_with("umpt_") && !token.contains(char::is_whitespace));
    assert!(errors.contains("not shown again"), "{errors}");

    // Within its scope: it deploys, reads keys, and sees itself alone.
    let model = server.upload(&onnx::linear(&[3.0], 1.0));
    let definition = packages::regression(&model, &["x"]);
    let own = ask(
        &server,
        "PUT",
        &server.arm_path("mine"),
        &token,
        &definition,
    );
    let own = server.outcome(own);
    assert_eq!(own.status, 200, "{}", own.text());
    let keys = server.arm_path("mine").replace('?', "/listKeys?");
    assert_eq!(get(&server, &keys, &token).json()["primary"], mine.primary);
    let list = get(&server, "/umpire/v1/services", &token);
    assert_eq!(names(&list, "services"), ["mine"]);
    let of_subscription = format!(
        "/subscriptions/{SUBSCRIPTION}/providers/Microsoft.MachineLearning/webServices?api-version=2017-01-01"
    );
    assert_eq!(
        names(&get(&server, &of_subscription, &token), "value"),
        ["mine"]
    );

    // Outside of it: nothing, and no word on what exists.
    for name in ["other", "nobody"] {
        let reply = get(&server, &server.arm_path(name), &token);
        assert_code(&reply, 401, MANAGEMENT);
        let reply = ask(&server, "PUT", &server.arm_path(name), &token, &definition);
        assert_code(&reply, 401, MANAGEMENT);
        let reply = ask(
            &server,
            "DELETE",
            &server.arm_path(name),
            &token,
            &Value::Null,
        );
        assert_code(&reply, 401, MANAGEMENT);
        let reply = get(&server, &format!("/umpire/v1/services/{name}"), &token);
        assert_code(&reply, 401, ADMIN);
    }
    for path in ["/umpire/v1/tokens", "/umpire/v1/audit"] {
        assert_code(&get(&server, path, &token), 401, ADMIN);
    }
    // A service of its name that is made anew is another one.
    server.put("mine", &definition);
    let gone = ask(
        &server,
        "DELETE",
        &server.arm_path("mine"),
        &token,
        &Value::Null,
    );
    assert_eq!(gone.status, 202);
    let again = ask(
        &server,
        "PUT",
        &server.arm_path("mine"),
        &token,
        &definition,
    );
    assert_code(&again, 401, MANAGEMENT);

    // The list shows it without the token, also after a restart.
    let (_, listed, _) = command(&["token", "list"]);
    assert!(listed.contains("ci") && listed.contains("good"), "{listed}");
    assert!(!listed.contains(&token));
    let (_, trail, _) = command(&["audit", "--limit", "100"]);
    for line in ["token ci", "create (manage on service:", "operator"] {
        assert!(trail.contains(line), "{trail}");
    }
    assert!(!trail.contains(&token));
    server.restart();
    assert_eq!(get(&server, "/umpire/v1/services", &token).status, 200);

    // Revoked, it opens nothing; its name can be given again.
    let operator = server.token();
    let revoke = || {
        ask(
            &server,
            "DELETE",
            "/umpire/v1/tokens/CI",
            &operator,
            &Value::Null,
        )
    };
    assert_eq!(revoke().status, 204);
    assert_code(&get(&server, "/umpire/v1/services", &token), 401, ADMIN);
    assert_code(&revoke(), 404, "NotFound");
    assert_ne!(self::token(&server, "ci", "installation", "read"), token);
    let list = get(&server, "/umpire/v1/tokens", &operator).json();
    let states: Vec<_> = list["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["state"])
        .collect();
    assert_eq!(states, ["good", "revoked"]);
    assert!(list["tokens"][1]["last_used"].is_string(), "{list}");
}

#[test]
fn a_token_ends_by_itself() {
    let server = Server::start();
    let body = json!({"name": "brief", "scope": "installation", "role": "read", "expires": "2s"});
    let made = ask(&server, "POST", "/umpire/v1/tokens", &server.token(), &body).json();
    let token = made["token"].as_str().unwrap();
    until("the token expires", || {
        get(&server, "/umpire/v1/services", token).status == 401
    });
    let list = get(&server, "/umpire/v1/tokens", &server.token()).json();
    assert_eq!(list["tokens"][0]["state"], "expired");
    // Its name is free again.
    self::token(&server, "brief", "installation", "read");
}

#[test]
fn metrics_that_are_not_public_are_for_whoever_may_look_at_all() {
    let server = Setup::default().config("public_metrics = false").start();
    let all = token(&server, "prometheus", "installation", "read");
    let part = token(&server, "part", "subscription:s", "manage");
    assert_eq!(get(&server, "/metrics", &all).status, 200);
    assert_eq!(get(&server, "/metrics", &server.token()).status, 200);
    assert_code(&get(&server, "/metrics", &part), 401, ADMIN);
    let nobody = Request::new("GET", "/metrics").send(server.address);
    assert_code(&nobody, 401, ADMIN);
}

#[test]
fn tokens_are_made_by_administrators_and_in_proper_words_only() {
    let server = Server::start();
    let admin = token(&server, "root", "installation", "admin");
    let manage = token(&server, "all", "installation", "manage");
    let body = json!({"name": "more", "scope": "installation"});
    let made = ask(&server, "POST", "/umpire/v1/tokens", &admin, &body);
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.json()["role"], "manage");
    assert!(
        made.json()["expires"].is_string(),
        "90 days unless told otherwise"
    );
    let refused = ask(&server, "POST", "/umpire/v1/tokens", &manage, &body);
    assert_code(&refused, 401, ADMIN);

    for (change, status, code, target) in [
        (json!({"name": " "}), 400, "RequestBodyInvalid", "name"),
        (json!({"role": "owner"}), 400, "RequestBodyInvalid", "role"),
        (json!({"scope": "all"}), 400, "RequestBodyInvalid", "scope"),
        (
            json!({"scope": "endpoint:00000000000000000000000000000001"}),
            400,
            "RequestBodyInvalid",
            "scope",
        ),
        (
            json!({"scope": "subscription:s", "role": "admin"}),
            400,
            "RequestBodyInvalid",
            "scope",
        ),
        (
            json!({"expires": "soon"}),
            400,
            "RequestBodyInvalid",
            "expires",
        ),
        (
            json!({"expires": "2020-01-01T00:00:00Z"}),
            400,
            "RequestBodyInvalid",
            "expires",
        ),
        (
            json!({"scope": "service:nobody"}),
            404,
            "WebServiceNotFound",
            "",
        ),
        (
            json!({"scope": "workspace:00000000000000000000000000000001"}),
            404,
            "WorkspaceNotFound",
            "scope",
        ),
        (json!({"name": "ROOT"}), 409, "Conflict", ""),
    ] {
        let mut body = json!({"name": "x", "scope": "installation"});
        for (key, value) in change.as_object().unwrap() {
            body[key] = value.clone();
        }
        let reply = ask(&server, "POST", "/umpire/v1/tokens", &admin, &body);
        assert_code(&reply, status, code);
        if !target.is_empty() {
            assert_eq!(reply.json()["error"]["details"][0]["target"], target);
        }
    }
}

#[test]
fn a_workspaces_token_makes_services_there_and_nowhere_else() {
    let server = Server::start();
    let red = server.create_workspace("red");
    let blue = server.create_workspace("blue");
    let token = token(&server, "red", &format!("workspace:{red}"), "manage");
    let model = server.upload(&onnx::linear(&[2.0], 1.0));
    let mut definition = packages::regression(&model, &["x"]);
    // Without a workspace in the definition it is the token's own.
    let made = ask(&server, "PUT", &server.arm_path("one"), &token, &definition);
    let made = server.outcome(made);
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(server.service("one").workspace, red);
    for (workspace, status) in [(&red, 201), (&blue, 401)] {
        definition["properties"]["machineLearningWorkspace"] = json!({"id": workspace});
        let path = server.arm_path(&format!("of-{status}"));
        let made = ask(&server, "PUT", &path, &token, &definition);
        let made = server.outcome(made);
        assert_eq!(made.status, status, "{}", made.text());
    }
    // One that does not exist is no different from one that is not his.
    definition["properties"]["machineLearningWorkspace"] = json!({"id": "0".repeat(32)});
    let made = ask(
        &server,
        "PUT",
        &server.arm_path("three"),
        &token,
        &definition,
    );
    assert_code(&made, 401, MANAGEMENT);
    let list = get(&server, "/umpire/v1/services", &token);
    assert_eq!(names(&list, "services"), ["of-201", "one"]);
    let workspaces = get(&server, "/umpire/v1/workspaces", &token);
    assert_eq!(names(&workspaces, "workspaces"), ["red"]);

    // Either of the workspace's own two tokens signs in for the same, until it is made anew.
    let tokens = "/umpire/v1/workspaces/red/tokens";
    let both = get(&server, tokens, &token).json();
    for which in ["primary", "secondary"] {
        let own = both[which].as_str().expect("a token");
        let list = get(&server, "/umpire/v1/services", own);
        assert_eq!(names(&list, "services"), ["of-201", "one"]);
        assert_eq!(get(&server, &server.arm_path("one"), own).status, 200);
        let other = get(&server, "/umpire/v1/workspaces/blue", own);
        assert_code(&other, 401, ADMIN);
        let rotated = ask(&server, "POST", tokens, own, &json!({"token": which}));
        assert_eq!(rotated.status, 200, "{}", rotated.text());
        assert_code(&get(&server, "/umpire/v1/services", own), 401, ADMIN);
        let fresh = rotated.json()[which].as_str().expect("a token").to_owned();
        assert_eq!(get(&server, "/umpire/v1/services", &fresh).status, 200);
    }
}

/// One method of one route of the management surfaces, as the table of routes has it.
struct Operation {
    surface: String,
    method: String,
    template: String,
}

/// The management surfaces' part of the table of routes, read from the source, so that a route
/// which is added is tested from then on.
fn operations() -> Vec<Operation> {
    let source = include_str!("../../crates/edge/src/routes.rs");
    let table = source
        .split("pub(crate) static ROUTES")
        .nth(1)
        .expect("the table");
    let table = table.split("\n];").next().expect("its end");
    let mut found = Vec::new();
    for route in table.split("route(").skip(1) {
        let template = route.split('"').nth(1).expect("a template").to_owned();
        let rest = &route[route.find(&template).unwrap() + template.len()..];
        let surface = rest.split(',').nth(1).expect("a surface").trim().to_owned();
        if surface != "Manage" && surface != "Admin" {
            continue;
        }
        let methods = rest.split('[').nth(1).expect("methods");
        for pair in methods.split('(').skip(1) {
            let method = pair.split(',').next().expect("a method").trim().to_owned();
            found.push(Operation {
                surface: surface.clone(),
                method,
                template: template.clone(),
            });
        }
    }
    found
}

/// What is answered before anybody is asked who he is: descriptions of the APIs, and a path that
/// names nothing.
const OPEN: &[&str] = &[
    "GET /umpire/v1/openapi",
    "GET /umpire/v1/openapi/{document}",
    "DELETE /workspaces/{workspace}/webservices",
    "PUT /workspaces/{workspace}/webservices",
];
/// The parts of the operators' API that are open to everybody within his role and scope; all else
/// there is the administrators'.
const SHARED: &[&str] = &["services", "workspaces", "blobs", "usage"];
/// The holes that name no one thing.
const WHERE: &[&str] = &["{subscription}", "{group}", "{location}", "{workspace}"];
/// What changes nothing, and yet is not for readers: it shows secrets, or serves those who change
/// things.
const MANAGERS_READ: &[&str] = &["Keys", "/keys", "/tokens", "/blobs/", "/export"];

/// The roles of everybody on every management route. The rule: reading is for readers, all else for
/// managers, of exactly that place; a list shows each what he sees.
#[test]
fn roles_and_scopes_hold_on_every_route() {
    let server = Setup::default()
        .config("trusted_proxies = [\"127.0.0.1\"]")
        .start();
    // A call from an address of its own each, so that no refusal is slowed.
    let calls = std::cell::Cell::new(0u32);
    let mine = server.deploy_linear("mine");
    let other = server.deploy_linear("other");
    let reader = token(&server, "reader", "installation", "read");
    let manager = token(&server, "manager", "installation", "manage");
    let stranger = token(&server, "stranger", "service:other", "manage");
    let all = operations();
    assert!(
        all.len() >= 20,
        "the table of routes was not read: {}",
        all.len()
    );

    for Operation {
        surface,
        method,
        template,
    } in all
    {
        let operation = format!("{method} {template}");
        let fill = |word: &str| match word {
            "{subscription}" => SUBSCRIPTION.to_owned(),
            "{group}" if template.starts_with("/subscriptions/") => "default".to_owned(),
            "{workspace}" => mine.workspace.clone(),
            "{endpoint}" => "default".to_owned(),
            "{sha256}" => crate::support::sha256(b"x"),
            "{name}" if template.contains("/workspaces/{name}") => "default".to_owned(),
            "{name}" => "mine".to_owned(),
            // Any other is an id.
            word if word.starts_with('{') => mine.service.clone(),
            word => word.to_owned(),
        };
        let path: Vec<String> = template.split('/').map(fill).collect();
        let path = path.join("/");
        let version = match () {
            () if template.contains("commitmentPlans") || template.contains("/skus") => {
                "2016-05-01-preview"
            }
            () if template.contains("MachineLearning/workspaces") => "2019-10-01",
            () if template.starts_with("/workspaces/") => "1.0",
            () => "2017-01-01",
        };
        let target = format!("{path}?api-version={version}");
        let ask = |token: Option<&str>| {
            calls.set(calls.get() + 1);
            let [_, b, c, d] = calls.get().to_be_bytes();
            let request = Request::new(&method, &target)
                .header("X-Forwarded-For", &format!("10.{b}.{c}.{d}"));
            let request = match token {
                Some(token) => request.bearer(token),
                None => request,
            };
            request.json(&json!({})).send(server.address)
        };
        let code = if surface == "Admin" {
            ADMIN
        } else {
            MANAGEMENT
        };
        if OPEN.contains(&operation.as_str()) {
            continue;
        }
        let refused = |who: &str, reply: &Reply| {
            let shown = (reply.status, reply.header("x-ms-error-code"));
            assert_eq!(
                shown,
                (401, Some(code)),
                "{who}: {operation}: {}",
                reply.text()
            );
        };
        let let_in = |who: &str, reply: &Reply| {
            assert_ne!(reply.status, 401, "{who}: {operation}: {}", reply.text());
            // A group that is not there is a 500 by the contract.
            let absent = reply.header("x-ms-error-code") == Some("WebServiceGroupNotFound");
            assert!(
                reply.status < 500 || absent,
                "{who}: {operation}: {}",
                reply.text()
            );
        };
        refused("nobody", &ask(None));
        refused("another scoring key", &ask(Some(&other.primary)));
        // The classic API takes an endpoint's own keys to look at the endpoint and to change it.
        let own = template.ends_with("/endpoints/{endpoint}");
        match own && matches!(&method[..], "GET" | "PATCH") {
            true => let_in("the endpoint's key", &ask(Some(&mine.primary))),
            false => refused("a scoring key", &ask(Some(&mine.primary))),
        }

        let shared = template
            .strip_prefix("/umpire/v1/")
            .is_none_or(|rest| SHARED.iter().any(|part| rest.starts_with(part)));
        let secret = MANAGERS_READ.iter().any(|part| template.contains(part));
        match method == "GET" && shared && !secret {
            true => let_in("a reader", &ask(Some(&reader))),
            false => refused("a reader", &ask(Some(&reader))),
        }
        let of_one_thing = template.ends_with('}')
            || template
                .split('/')
                .any(|word| word.starts_with('{') && !WHERE.contains(&word));
        let reply = ask(Some(&stranger));
        if template.contains("{sha256}") {
            // A blob belongs to nobody.
            let_in("another service's token", &reply);
        } else if shared && method == "GET" && !of_one_thing {
            let shown = reply.text();
            for id in [&mine.service, &mine.endpoint] {
                assert!(!shown.contains(id.as_str()), "{operation}: {shown}");
            }
        } else {
            refused("another service's token", &reply);
        }
        if !shared {
            refused("a manager", &ask(Some(&manager)));
        }
    }
    // All of that changed nothing.
    assert_eq!(mine.score_x(1.0).status, 200);
    assert_eq!(server.service("mine").primary, mine.primary);
}

#[test]
fn every_change_and_every_failed_one_is_on_the_audit_trail() {
    let server = Setup::default()
        .config("trusted_proxies = [\"127.0.0.1\"]")
        .start();
    server.deploy_linear("mine");
    let ci = token(&server, "ci", "service:mine", "manage");
    let rotate = |token: &str, name: &str| {
        Request::new("POST", &format!("/umpire/v1/services/{name}/keys"))
            .bearer(token)
            .header("X-Forwarded-For", "6.6.6.6, 192.0.2.7")
            .json(&json!({"key": "primary"}))
            .send(server.address)
    };
    assert_eq!(rotate(&ci, "mine").status, 200);
    assert_eq!(rotate(&ci, "other").status, 401);
    assert_eq!(rotate("a stranger's guess", "mine").status, 401);
    assert_eq!(get(&server, "/umpire/v1/services/other", &ci).status, 401);

    let audit = |query: &str| {
        get(
            &server,
            &format!("/umpire/v1/audit?{query}"),
            &server.token(),
        )
        .json()
    };
    // The line of a failure is written after its reply.
    until("the failure is written", || {
        audit("limit=1")["lines"][0]["result"] != "done"
    });
    let lines = audit("");
    let lines = lines["lines"].as_array().unwrap();
    let line = |i: usize| {
        let text = |name: &str| lines[i][name].as_str().unwrap().to_owned();
        [
            text("actor"),
            text("origin"),
            text("action"),
            text("result"),
        ]
    };
    let failed = "Unauthorized.AdminRequestUnauthorized";
    assert_eq!(line(0), ["token ci", "192.0.2.7", "POST", failed]);
    assert_eq!(lines[0]["subject"], "/umpire/v1/services/other/keys");
    assert_eq!(line(1), ["token ci", "192.0.2.7", "change keys", "done"]);
    assert_eq!(
        line(2)[..3],
        ["operator", "127.0.0.1", &line(2)[2]],
        "{lines:?}"
    );
    assert!(
        line(2)[2].starts_with("create (manage on service:"),
        "{lines:?}"
    );
    let all = serde_json::to_string(&lines).unwrap();
    assert!(!all.contains(&ci) && !all.contains("guess"), "{all}");
    // What was only looked at leaves no line.
    assert!(!all.contains("\"GET\""), "{all}");

    // A page follows the other.
    let first = audit("limit=1");
    let next = first["next"].as_u64().unwrap();
    let second = audit(&format!("limit=1&before={next}"));
    assert_eq!(second["lines"][0], lines[1]);
    let reply = get(&server, "/umpire/v1/audit?before=x", &server.token());
    assert_code(&reply, 400, "InvalidQueryParameter");
}

#[test]
fn bad_credentials_are_answered_ever_later_and_good_ones_at_once() {
    let server = Server::start();
    let good = token(&server, "good", "installation", "read");
    let bad = Request::new("GET", "/umpire/v1/services").bearer("a guess");
    // So many at once that the last of them wait long.
    let mut waiting: Vec<Connection> = (0..20)
        .map(|_| {
            let mut connection = Connection::open(server.address).unwrap();
            connection.send(&bad).unwrap();
            connection
        })
        .collect();
    // The first five are slips, and told so at once.
    let failures = ["faults_total", "AdminRequestUnauthorized"];
    until("the slips are answered", || server.metric(&failures) >= 5.0);
    // Meanwhile a good one is answered, from the same address.
    assert_eq!(get(&server, "/umpire/v1/services", &good).status, 200);
    assert!(
        server.metric(&failures) < 20.0,
        "all the guesses were answered before a good credential was"
    );
    // All are refused in the end.
    for connection in &mut waiting {
        let reply = connection.read_reply(false).unwrap();
        assert_code(&reply, 401, ADMIN);
    }
}
