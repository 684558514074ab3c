//! Backups and exports: what is put back is what was there.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::{Request, Server, Service, Setup, command, onnx, packages};

fn umpire(arguments: &[&str], paths: &[&Path]) -> Output {
    command()
        .args(arguments)
        .args(paths)
        .stdin(Stdio::null())
        .output()
        .expect("the program runs")
}

#[track_caller]
fn succeeds(output: Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    text + &errors
}

#[track_caller]
fn refused(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{errors}");
    errors
}

/// The answer of `y = factor·x + 1` for x = 1.
fn answer(service: &Service) -> String {
    let reply = service.score_x(1.0);
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["Results"]["output1"]["value"]["Values"][0][1]
        .as_str()
        .expect("a number")
        .to_owned()
}

fn deploy(server: &Server, name: &str, factor: f32) -> Service {
    let model = server.upload(&onnx::linear(&[factor], 1.0));
    server.deploy(name, &packages::regression(&model, &["x"]))
}

/// A data directory that holds the master key of a server and nothing else.
fn with_key_of(server: &Server) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let secrets = dir.path().join("data/secrets");
    std::fs::create_dir_all(&secrets).unwrap();
    let key = server.data().join("secrets/master.key");
    std::fs::copy(key, secrets.join("master.key")).unwrap();
    dir
}

/// Services are deployed and deleted while backups are made; each that is restored serves, and has
/// each service whole or not at all.
#[test]
fn a_backup_under_load_is_restored_and_serves() {
    let server = Server::start();
    let steady = deploy(&server, "steady", 2.0);
    let stop = AtomicBool::new(false);
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<_> = (0..3)
        .map(|i| folder.path().join(format!("{i}.tar")))
        .collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut factor = 3.0;
            while !stop.load(Ordering::Relaxed) {
                deploy(&server, "busy", factor);
                let path = server.arm_path("passing");
                deploy(&server, "passing", factor);
                let gone = Request::new("DELETE", &path)
                    .bearer(&server.token())
                    .send(server.address);
                assert!(gone.status < 300, "{}", gone.text());
                factor += 1.0;
            }
        });
        for file in &files {
            let data = server.data();
            let told = succeeds(umpire(&["backup"], &[file, Path::new("--data"), &data]));
            assert!(told.contains("master key is not in it"), "{told}");
            assert_eq!(answer(&steady), "3", "scoring goes on");
        }
        stop.store(true, Ordering::Relaxed);
    });
    for file in &files {
        let dir = with_key_of(&server);
        let data = dir.path().join("data");
        succeeds(umpire(&["restore"], &[file, Path::new("--data"), &data]));
        let other = Server::start_on(dir.path());
        let restored = other.service("steady");
        assert_eq!(
            (&restored.primary, &restored.secondary, &restored.endpoint),
            (&steady.primary, &steady.secondary, &steady.endpoint)
        );
        assert_eq!(answer(&restored), "3");
        let listed = Request::new("GET", "/umpire/v1/services")
            .bearer(&other.token())
            .send(other.address)
            .json();
        for service in listed["services"].as_array().expect("a list") {
            let name = service["name"].as_str().expect("a name");
            let answer: f64 = answer(&other.service(name)).parse().expect("a number");
            assert!(answer >= 3.0, "{name}: {answer}");
        }
        let token = Request::new("GET", "/umpire/v1/nodes")
            .bearer(&server.token())
            .send(other.address);
        assert_eq!(token.status, 401, "the operator's token is another");
    }
}

/// A backup is refused where it is not whole, not under its key, or something is in its way.
#[test]
fn a_backup_is_refused_with_the_reason() {
    let mut server = Server::start();
    deploy(&server, "linear", 2.0);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.tar");
    let data_of = |server: &Server| server.data();
    succeeds(umpire(
        &["backup"],
        &[&file, Path::new("--data"), &data_of(&server)],
    ));
    let own = data_of(&server);
    let restore =
        |file: &Path, data: &Path| umpire(&["restore"], &[file, Path::new("--data"), data]);
    assert!(refused(restore(&file, &own)).contains("another umpire"));
    let empty = folder.path().join("empty");
    assert!(refused(restore(&file, &empty)).contains("master key is in no backup"));

    let bytes = std::fs::read(&file).unwrap();
    let cut = folder.path().join("cut.tar");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let dir = with_key_of(&server);
    let data = dir.path().join("data");
    assert!(refused(restore(&cut, &data)).contains("cut off"));
    let mut changed = bytes.clone();
    let last = bytes.iter().rposition(|b| *b != 0).unwrap();
    changed[last] ^= 1;
    std::fs::write(&cut, &changed).unwrap();
    assert!(refused(restore(&cut, &data)).contains("changed or damaged"));
    succeeds(restore(&file, &data));
    assert!(refused(restore(&file, &data)).contains("not empty"));

    // Without a server the directory itself is read; with one it is not.
    let offline = folder.path().join("offline.tar");
    let backup = |server: &Server| {
        umpire(
            &["backup", "--offline"],
            &[&offline, Path::new("--data"), &server.data()],
        )
    };
    assert!(refused(backup(&server)).contains("another umpire"));
    server.end(libc::SIGTERM);
    succeeds(backup(&server));
    let forced = umpire(
        &["restore", "--force"],
        &[&offline, Path::new("--data"), &data],
    );
    assert!(succeeds(forced).contains("replaced-"));
    let other = Server::start_on(dir.path());
    assert_eq!(answer(&other.service("linear")), "3");
}

/// A service goes to another installation as a file, without its keys, and by the way of any
/// deploy.
#[test]
fn a_service_is_exported_and_imported() {
    let server = Server::start();
    let model = server.upload(&onnx::linear(&[2.0], 1.0));
    let mut package = packages::regression(&model, &["x"]);
    package["tags"] = json!({"team": "blue"});
    package["properties"]["storageAccount"] = json!({"name": "acct", "key": "hush-hush"});
    let service = server.deploy("linear", &package);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("linear.umpire");
    let with = |verb: &[&str], file: &Path, server: &Server| {
        umpire(verb, &[file, Path::new("--data"), &server.data()])
    };
    succeeds(with(&["export", "linear", "--output"], &file, &server));
    let bytes = std::fs::read(&file).unwrap();
    for secret in ["hush-hush", &service.primary, &service.secondary] {
        let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
        assert!(!found, "no secret is in it");
    }

    let other = Setup::default().start();
    let told = succeeds(with(&["import"], &file, &other));
    assert!(
        told.contains("storageAccount"),
        "the secret that it lacks is named: {told}"
    );
    let imported = other.service("linear");
    assert_eq!(answer(&imported), "3");
    assert_ne!(imported.primary, service.primary);
    let read = |server: &Server| {
        let reply = Request::new("GET", &server.arm_path("linear"))
            .bearer(&server.token())
            .send(server.address)
            .json();
        let mut properties = reply["properties"].clone();
        for own in ["createdOn", "modifiedOn", "swaggerLocation"] {
            properties.as_object_mut().unwrap().remove(own);
        }
        (reply["tags"].clone(), properties)
    };
    assert_eq!(read(&other), read(&server));
    // Again, beside the first: there a further revision, here another service.
    succeeds(with(&["import"], &file, &other));
    assert_eq!(other.service("linear").primary, imported.primary);
    succeeds(with(&["import", "--name", "copy"], &file, &other));
    assert_eq!(answer(&other.service("copy")), "3");

    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    assert!(refused(with(&["import"], &file, &other)).contains("cut off"));
    let unknown = with(&["export", "nobody", "--output"], &file, &server);
    assert!(refused(unknown).contains("WebServiceNotFound"));
}

/// Further endpoints go with their service: settings, and models of their own.
#[test]
fn an_exported_service_has_its_endpoints() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let send = |server: &Server, method: &str, path: &str, body: &Value| {
        let reply = Request::new(method, path)
            .bearer(&server.token())
            .json(body)
            .send(server.address);
        assert!(reply.status < 300, "{method} {path}: {}", reply.text());
    };
    let endpoint = |service: &Service, name: &str| {
        format!(
            "/workspaces/{}/webservices/{}/endpoints/{name}",
            service.workspace, service.service
        )
    };
    let low = json!({"Description": "slow", "ThrottleLevel": "Low"});
    send(&server, "PUT", &endpoint(&service, "low"), &low);
    let own = json!({"MaxConcurrentCalls": 7, "SampleDataEnabled": false});
    send(&server, "PUT", &endpoint(&service, "own"), &own);
    let model = server.upload(&onnx::linear(&[5.0], 1.0));
    let (base, relative) = model.split_at("umpire:sha256:".len());
    let update = json!({"PreventUpdate": true, "Resources": [{
        "Name": "Test [trained model]",
        "Location": {"BaseLocation": base, "RelativeLocation": relative, "SasBlobToken": ""},
    }]});
    send(&server, "PATCH", &endpoint(&service, "own"), &update);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("linear.umpire");
    let with = |verb: &[&str], server: &Server| {
        umpire(verb, &[&file, Path::new("--data"), &server.data()])
    };
    succeeds(with(&["export", "linear", "--output"], &server));
    let other = Server::start();
    // Twice: endpoints that are there already become what the file says.
    for _ in 0..2 {
        let told = succeeds(with(&["import"], &other));
        assert!(!told.contains("another than"), "{told}");
        let imported = other.service("linear");
        let read = |server: &Server, service: &Service, name: &str| {
            let mut shown = Request::new("GET", &endpoint(service, name))
                .bearer(&server.token())
                .send(server.address)
                .json();
            let location = shown["ApiLocation"].as_str().unwrap().to_owned();
            let scored = Service {
                endpoint: location.rsplit('/').next().unwrap().to_owned(),
                primary: shown["PrimaryKey"].as_str().unwrap().to_owned(),
                ..service.clone()
            }
            .score_x(1.0);
            assert_eq!(scored.status, 200, "{}", scored.text());
            let settings = [
                "Description",
                "ThrottleLevel",
                "MaxConcurrentCalls",
                "PreventUpdate",
                "SampleDataEnabled",
                "DiagnosticsTraceLevel",
            ];
            let settings = settings.map(|member| shown[member].take());
            (settings, scored.json())
        };
        for name in ["default", "low", "own"] {
            assert_eq!(
                read(&other, &imported, name),
                read(&server, &service, name),
                "{name}"
            );
        }
    }

    // An endpoint whose graph is not the default's is told about.
    let mut package = packages::regression(&model, &["x"]);
    package["properties"]["package"]["nodes"]["node3"]["parameters"] = json!({});
    server.deploy("linear", &package);
    succeeds(with(&["export", "linear", "--output"], &server));
    let told = succeeds(with(&["import", "--name", "copy"], &other));
    assert!(told.contains("low had was another than"), "{told}");
}
