//! The help pages: what they say, that their programs run as they are pasted, and that a browser
//! is content with them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{Reply, Request, Server, Service, Setup, onnx, packages};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/app")
        .to_path_buf()
}

/// The help location of a service's endpoint.
fn location(service: &Service) -> String {
    format!(
        "/apihelp/workspaces/{}/webservices/{}/endpoints/{}",
        service.workspace, service.service, service.endpoint
    )
}

#[track_caller]
fn page(server: &Server, path: &str) -> Reply {
    // As a browser asks for it: the URLs of the page are those of this address.
    let reply = Request::new("GET", path)
        .header("Host", &server.address.to_string())
        .send(server.address);
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    assert_eq!(
        reply.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    reply
}

/// The text of the first `pre` behind `mark`, as a browser shows it.
#[track_caller]
fn pre(html: &str, mark: &str) -> String {
    let behind = html
        .split_once(mark)
        .unwrap_or_else(|| panic!("no {mark} in {html}"))
        .1;
    let start = match mark.starts_with("<pre") {
        true => behind,
        false => behind.split_once("<pre").expect("a pre").1,
    };
    let text = start.split_once('>').expect("its end").1;
    let text = text.split_once("</pre>").expect("its end tag").0;
    assert!(!text.contains('<'), "text alone: {text}");
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn sample(html: &str, language: &str) -> String {
    pre(
        html,
        &format!("<pre tabindex=\"0\" id=\"sample-{language}\""),
    )
}

/// Where a program of the system lies.
fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Runs a program of a page with what stands on this machine for its language; nothing where that
/// is not there.
fn run_as_pasted(language: &str, program: &str) -> Option<Output> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, program).expect("the program");
        file
    };
    let run = |command: &str, arguments: &[&Path]| {
        let Some(command) = found(command) else {
            println!("skipped: no {command} for the {language} sample");
            return None;
        };
        let output = Command::new(command)
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .expect("it runs");
        Some(output)
    };
    match language {
        "curl" => run("sh", &[&file("sample.sh")]),
        "python" => run("python3", &[&file("sample.py")]),
        "javascript" => run("node", &[&file("sample.js")]),
        "r" => run("Rscript", &[Path::new("--vanilla"), &file("sample.R")]),
        "csharp" => {
            // The C# of Mono, which Debian has, is older than that of any .NET.
            let reference = Path::new("-r:System.Net.Http.dll");
            let built = run(
                "mcs",
                &[Path::new("-langversion:7"), reference, &file("sample.cs")],
            )?;
            assert!(built.status.success(), "{program}\n{built:?}");
            run("mono", &[Path::new("sample.exe")])
        }
        other => panic!("{other}?"),
    }
}

const LANGUAGES: [&str; 5] = ["curl", "python", "javascript", "csharp", "r"];

/// Every program of a page, with the key in its place, answers 200 and `contains`.
#[track_caller]
fn all_programs_answer(html: &str, key: &str, contains: &[&str]) {
    all_programs_run(html, key, |language, text, report| {
        // curl alone does not print the status; a failure has no results.
        if language != "curl" {
            assert!(text.starts_with("200 "), "{report}");
        }
        assert!(text.contains("\"Results\""), "{report}");
        for part in contains {
            assert!(text.contains(part), "no {part}: {report}");
        }
    });
}

/// Runs every program of a page with the key in its place, and shows `check` what it printed.
#[track_caller]
fn all_programs_run(html: &str, key: &str, check: impl Fn(&str, &str, &str)) {
    for language in LANGUAGES {
        let program = sample(html, language);
        assert_eq!(program.matches("YOUR_API_KEY").count(), 1, "{program}");
        let program = program.replace("YOUR_API_KEY", key);
        let Some(output) = run_as_pasted(language, &program) else {
            continue;
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let report = format!(
            "{program}\n{text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{report}");
        check(language, &text, &report);
    }
}

/// `linear` with sample rows that it shows.
fn with_rows(server: &Server) -> Service {
    let model = server.upload(&onnx::linear(&[2.0], 1.0));
    let mut package = packages::regression(&model, &["x"]);
    package["properties"]["exampleRequest"] =
        json!({"inputs": {"input1": [["20.25"], [-3]]}, "globalParameters": {}});
    server.deploy("linear", &package)
}

#[test]
fn the_score_page_says_what_clients_look_for() {
    let server = Server::start();
    let service = with_rows(&server);
    let reply = page(&server, &format!("{}/score", location(&service)));
    let html = reply.text();
    assert!(html.contains("<h1>Request Response API Documentation for Test service</h1>"));
    let url = format!(
        "http://{}{}?api-version=2.0&amp;details=true",
        server.address,
        service.path()
    );
    assert!(html.contains(&url), "{html}");
    // What a published client scrapes: JSON, by these ids.
    let request: Value = serde_json::from_str(&pre(&html, "id=\"requestSummary\"")).unwrap();
    assert_eq!(
        request,
        json!({
            "Inputs": {"input1": {"ColumnNames": ["x"], "Values": [[20.25], [-3]]}},
            "GlobalParameters": {},
        })
    );
    let response: Value = serde_json::from_str(&pre(&html, "id=\"responseSummary\"")).unwrap();
    let value = &response["Results"]["output1"]["value"];
    assert_eq!(value["ColumnNames"], json!(["x", "Scored Labels"]));
    assert_eq!(value["ColumnTypes"], json!(["Double", "Double"]));
    assert_eq!(value["Values"][0][0], "20.25");
    assert!(html.contains("class=\"code-snippet-r\">"));
    // The request that the page shows is one that the service takes.
    let scored = service.score(&request);
    assert_eq!(scored.status, 200, "{}", scored.text());
    // Every class and every row of the catalogue.
    for class in faults::Class::ALL {
        assert!(html.contains(&format!("<code>{}</code>", class.name())));
        for row in class.rows() {
            assert!(
                html.contains(&format!("<code>{}</code>", row.code)),
                "{}",
                row.name()
            );
        }
    }
}

#[test]
fn the_pages_stand_at_every_address_of_the_help_location() {
    let server = Server::start();
    let service = with_rows(&server);
    let location = location(&service);
    let bare = location.trim_start_matches("/apihelp");
    let by_name = location.replace(
        &format!("endpoints/{}", service.endpoint),
        "endpoints/default",
    );
    for place in [location.as_str(), bare, &by_name] {
        for (name, title) in [
            ("score", "Request Response"),
            ("jobs", "Batch Execution"),
            ("update", "Update Resource"),
        ] {
            let html = page(&server, &format!("{place}/{name}")).text();
            let title = format!("<h1>{title} API Documentation for Test service</h1>");
            assert!(html.contains(&title), "{place}/{name}");
        }
    }
    // The overview leads to all of them.
    let html = page(&server, &location).text();
    for name in ["score", "jobs", "update", "apidocument"] {
        let link = format!("href=\"http://{}{location}/{name}\"", server.address);
        assert!(html.contains(&link), "{name}: {html}");
    }
    let absent = location.replace(&service.endpoint, &service.service.replace(['0', '1'], "2"));
    let reply = Request::new("GET", &absent).send(server.address);
    assert_eq!(reply.status, 404, "{}", reply.text());
}

#[test]
fn a_page_is_whole_in_itself_and_its_policy_allows_no_more() {
    let server = Server::start();
    let service = with_rows(&server);
    for name in ["", "/score", "/jobs", "/update"] {
        let reply = page(&server, &format!("{}{name}", location(&service)));
        let policy = reply.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let html = reply.text();
        assert!(!html.contains(" src=") && !html.contains("@import") && !html.contains("url("));
        assert!(!html.contains(" style=") && !html.contains(" onclick="));
    }
}

#[test]
fn what_the_definition_says_cannot_become_markup() {
    let server = Server::start();
    let hostile = "</pre><script>alert(1)</script>&\"'";
    let mut package = packages::pass_through(&[hostile]);
    let properties = &mut package["properties"];
    properties["title"] = hostile.into();
    properties["description"] = hostile.into();
    properties["input"]["properties"]["input1"]["description"] = hostile.into();
    let column = &mut properties["input"]["properties"]["input1"]["properties"][hostile];
    *column = json!({"type": "String", "enum": [hostile]});
    properties["output"] = properties["input"].clone();
    properties["output"]["properties"] =
        json!({"output1": properties["input"]["properties"]["input1"]});
    let service = server.deploy("hostile", &package);
    for name in ["", "/score", "/jobs", "/update"] {
        let html = page(&server, &format!("{}{name}", location(&service))).text();
        assert!(!html.contains("<script>alert"), "{html}");
        assert_eq!(html.matches("<script>").count(), 1, "{html}");
    }
    // The host of a request stands in its page.
    let reply = Request::new("GET", &format!("{}/score", location(&service)))
        .header("X-Forwarded-Host", "<script>alert(1)</script>")
        .header("Accept-Language", "\"><script>alert(1)</script>")
        .send(server.address);
    assert!(!reply.text().contains("<script>alert"));
    // Programs keep the name whole: a quote in it neither ends a text nor begins another.
    let html = page(&server, &format!("{}/score", location(&service))).text();
    all_programs_answer(&html, &service.primary, &["alert(1)"]);
    let html = page(&server, &format!("{}/jobs", location(&service))).text();
    all_programs_run(&html, &service.primary, |_, text, report| {
        assert!(text.contains("alert(1)"), "{report}");
    });
}

#[test]
fn the_pages_speak_the_readers_language() {
    let server = Server::start();
    let service = with_rows(&server);
    let reply = Request::new("GET", &format!("{}/score", location(&service)))
        .header("Accept-Language", "zh-TW,zh;q=0.9")
        .send(server.address);
    assert_eq!(reply.header("content-language"), Some("zh-TW"));
    assert_eq!(reply.header("vary"), Some("Accept-Language"));
    let html = reply.text();
    assert!(
        html.contains("<html lang=\"zh-TW\">") && html.contains("範例要求"),
        "{html}"
    );
}

#[test]
fn closed_documents_close_the_pages_too() {
    let server = Setup::default().config("public_docs = false").start();
    let service = with_rows(&server);
    for name in ["", "/score", "/jobs", "/update"] {
        let path = format!("{}{name}", location(&service));
        assert_eq!(Request::new("GET", &path).send(server.address).status, 401);
        let reply = Request::new("GET", &path)
            .bearer(&service.primary)
            .send(server.address);
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

#[test]
fn samples_that_are_not_to_be_shown_are_made_up() {
    let server = Server::start();
    let model = server.upload(&onnx::linear(&[2.0], 1.0));
    let mut package = packages::regression(&model, &["x"]);
    package["properties"]["exampleRequest"] = json!({"inputs": {"input1": [[41.5]]}});
    package["properties"]["exposeSampleData"] = false.into();
    let service = server.deploy("linear", &package);
    let html = page(&server, &format!("{}/score", location(&service))).text();
    assert!(!html.contains("41.5"), "{html}");
    let request: Value = serde_json::from_str(&pre(&html, "id=\"requestSummary\"")).unwrap();
    assert_eq!(service.score(&request).status, 200);
}

#[test]
fn the_jobs_page_shows_each_call_and_a_request_that_is_taken() {
    let server = Server::start();
    let service = with_rows(&server);
    let html = page(&server, &format!("{}/jobs", location(&service))).text();
    for (id, method, path) in [
        ("submit", "POST", ""),
        ("start", "POST", "/{job_id}/start"),
        ("status", "GET", "/{job_id}"),
        ("delete", "DELETE", "/{job_id}"),
        ("list", "GET", ""),
    ] {
        let section = html
            .split_once(&format!("<section id=\"{id}\">"))
            .expect(id)
            .1;
        let section = section.split_once("</section>").expect("its end").0;
        let url = format!("http://{}{}", server.address, service.jobs(path));
        assert!(
            section.contains(&format!("<code>{method}</code>")),
            "{section}"
        );
        assert!(
            section.contains(&format!("<code>{url}</code>")),
            "{section}"
        );
    }
    // The request is of the right form: what is missing is its file alone.
    let request: Value = serde_json::from_str(&pre(&html, "id=\"requestSummary\"")).unwrap();
    let reply = service.submit(&request);
    assert_eq!(
        (reply.status, reply.header("x-ms-error-code")),
        (400, Some("BlobNotFound")),
        "{}",
        reply.text()
    );
    // The reply has the members of a real one.
    let shown: Value = serde_json::from_str(&pre(&html, "id=\"responseSummary\"")).unwrap();
    let rows = service.upload("in.csv", b"x\n1\n");
    let real = service.run_job(&json!({"Inputs": {"input1": rows}}));
    let members = |value: &Value| -> Vec<String> {
        value
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(members(&shown), members(&real));
    assert_eq!(members(&shown["Progress"]), members(&real["Progress"]));
    assert_eq!(
        members(&shown["Results"]["output1"]),
        members(&real["Results"]["output1"])
    );
}

#[test]
fn the_job_samples_run_as_they_are_pasted() {
    let server = Server::start();
    let service = with_rows(&server);
    let html = page(&server, &format!("{}/jobs", location(&service))).text();
    all_programs_run(&html, &service.primary, |_, text, report| {
        assert!(
            text.trim_end()
                .ends_with("x,Scored Labels\n20.25,41.5\n-3,-5"),
            "{report}"
        );
    });
}

#[test]
fn the_samples_run_as_they_are_pasted() {
    let server = Server::start();
    let service = with_rows(&server);
    let html = page(&server, &format!("{}/score", location(&service))).text();
    all_programs_answer(
        &html,
        &service.primary,
        &["Scored Labels", "\"41.5\"", "\"-5\""],
    );
}

/// Makes a further endpoint of a service; what the reply says of it.
#[track_caller]
fn further_endpoint(server: &Server, service: &Service, name: &str, body: &Value) -> Value {
    let path = format!(
        "/workspaces/{}/webservices/{}/endpoints/{name}",
        service.workspace, service.service
    );
    let reply = Request::new("PUT", &path)
        .header("Host", &server.address.to_string())
        .bearer(&server.token())
        .json(body)
        .send(server.address);
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()
}

#[test]
fn the_update_samples_run_as_they_are_pasted() {
    let server = Server::start();
    let service = with_rows(&server);
    // The page of the default endpoint shows how another is made, and nothing that fails.
    let html = page(&server, &format!("{}/update", location(&service))).text();
    assert!(!html.contains("id=\"samples\""), "{html}");
    let body: Value = serde_json::from_str(&pre(&html, "<pre id=\"make-endpoint\"")).unwrap();
    let endpoint = further_endpoint(&server, &service, "retrained", &body);
    let text = |name: &str| endpoint[name].as_str().expect(name).to_owned();
    let help = text("HelpLocation").replace(&format!("http://{}", server.address), "");
    let html = page(&server, &format!("{help}/update")).text();
    let request: Value = serde_json::from_str(&pre(&html, "id=\"requestSummary\"")).unwrap();
    assert_eq!(request["Resources"][0]["Name"], "Test [trained model]");
    for (i, language) in LANGUAGES.iter().enumerate() {
        let coefficient = (i + 3) as f32;
        let model = server.upload(&onnx::linear(&[coefficient], 1.0));
        let hash = model.trim_start_matches("umpire:sha256:");
        let program = sample(&html, language)
            .replace("YOUR_API_KEY", &text("PrimaryKey"))
            .replace(
                "https://ACCOUNT.blob.core.windows.net/",
                &format!("http://{}/", server.address),
            )
            .replace(
                "CONTAINER/NEW_MODEL.onnx",
                &format!("umpire/v1/blobs/{hash}"),
            )
            .replace("?YOUR_SAS_TOKEN", "");
        let Some(output) = run_as_pasted(language, &program) else {
            continue;
        };
        let report = format!("{program}\n{output:?}");
        assert!(output.status.success(), "{report}");
        let updated = Service {
            endpoint: text("HelpLocation").rsplit('/').next().unwrap().to_owned(),
            primary: text("PrimaryKey"),
            ..service.clone()
        };
        let scored = updated.score_x(10.0).json();
        let label = &scored["Results"]["output1"]["value"]["Values"][0][1];
        assert_eq!(*label, (coefficient * 10.0 + 1.0).to_string(), "{report}");
    }
    // The default endpoint goes on as it was.
    let scored = service.score_x(10.0).json();
    assert_eq!(scored["Results"]["output1"]["value"]["Values"][0][1], "21");
}

#[test]
fn an_endpoint_shows_its_own_description_and_may_keep_samples_back() {
    let server = Server::start();
    let service = with_rows(&server);
    let body = json!({"Description": "For the night shift.", "SampleDataEnabled": false});
    let endpoint = further_endpoint(&server, &service, "night", &body);
    let help = endpoint["HelpLocation"].as_str().expect("a location");
    let help = help.replace(&format!("http://{}", server.address), "");
    let html = page(&server, &format!("{help}/score")).text();
    assert!(html.contains("<p>For the night shift.</p>"), "{html}");
    assert!(!html.contains("20.25"), "{html}");
    assert!(html.contains("<code>night</code>"));
    let key = endpoint["SecondaryKey"].as_str().expect("a key");
    all_programs_answer(&html, key, &["Scored Labels"]);
}

#[test]
fn a_browser_is_content() {
    let browser = ["chromium", "chromium-browser", "google-chrome"];
    let Some(browser) = browser.iter().find_map(|name| found(name)) else {
        println!("skipped: no chromium");
        return;
    };
    let Some(node) = found("node") else {
        println!("skipped: no node");
        return;
    };
    let server = Server::start();
    let service = with_rows(&server);
    let location = location(&service);
    further_endpoint(&server, &service, "retrained", &json!({}));
    let other = location.replace(&service.endpoint, "retrained");
    let pages = ["", "/score", "/jobs", "/update"].map(|page| format!("{location}{page}"));
    let pages = pages.into_iter().chain([format!("{other}/update")]);
    let mut command = Command::new(node);
    command
        .arg(root().join("tests/clients/browser.mjs"))
        .arg(browser);
    let output = command
        .args(pages.map(|page| format!("http://{}{page}", server.address)))
        .output()
        .expect("it runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
