//! Calls of the Studio API: web-service groups, model packages and their services.

use serde_json::{Value, json};

use super::{Reply, Request, Server, packages};

/// A web-service group of a server's first workspace.
pub struct Group<'a> {
    pub server: &'a Server,
    pub workspace: String,
    pub id: String,
}

impl Server {
    /// The id of the installation's first workspace.
    #[track_caller]
    pub fn workspace(&self) -> String {
        let listed = Request::new("GET", "/umpire/v1/workspaces")
            .bearer(&self.token())
            .send(self.address)
            .json();
        let workspaces = listed["workspaces"].as_array().expect("workspaces");
        let first = workspaces.iter().find(|w| w["name"] == "default");
        first.expect("the first workspace")["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    }

    /// A call of the Studio API with its own header.
    pub fn studio(&self, method: &str, path: &str) -> Request {
        Request::new(method, path).header("x-ms-metaanalytics-authorizationtoken", &self.token())
    }

    /// Makes a group with that body.
    #[track_caller]
    pub fn group_of(&self, body: &Value) -> Group<'_> {
        let workspace = self.workspace();
        let path = format!("/api/workspaces/{workspace}/webservicegroups");
        let reply = self.studio("POST", &path).json(body).send(self.address);
        Group {
            server: self,
            workspace,
            id: id_of(&reply),
        }
    }

    /// Makes a group.
    #[track_caller]
    pub fn group(&self, name: &str) -> Group<'_> {
        self.group_of(&json!({"Name": name, "Description": "", "AllowAnonymousTest": false}))
    }
}

impl Group<'_> {
    /// A path below the group.
    pub fn path(&self, rest: &str) -> String {
        format!(
            "/api/workspaces/{}/webservicegroups/{}{rest}",
            self.workspace, self.id
        )
    }

    /// A call below the group.
    pub fn request(&self, method: &str, rest: &str) -> Request {
        self.server.studio(method, &self.path(rest))
    }

    /// A call without a body.
    #[track_caller]
    pub fn call(&self, method: &str, rest: &str) -> Reply {
        self.request(method, rest).send(self.server.address)
    }

    /// A call with a body.
    #[track_caller]
    pub fn send(&self, method: &str, rest: &str, body: &Value) -> Reply {
        self.request(method, rest)
            .json(body)
            .send(self.server.address)
    }

    /// The group as it is shown.
    #[track_caller]
    pub fn shown(&self) -> Value {
        let reply = self.call("GET", "");
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// Stores `y = coefficient·x + 1` as a model package.
    #[track_caller]
    pub fn linear(&self, coefficient: f32) -> String {
        let model = self
            .server
            .upload(&super::onnx::linear(&[coefficient], 1.0));
        self.package(&packages::model_package(&model, &["x"]))
    }

    /// Stores a model package; its id.
    #[track_caller]
    pub fn package(&self, package: &Value) -> String {
        id_of(&self.send("POST", "/modelpackages", package))
    }

    /// Publishes a stored package to a slot; the id of the service.
    #[track_caller]
    pub fn publish(&self, package: &str, slot: &str) -> String {
        let body = json!({"ModelPackageId": package, "WebServiceType": slot});
        id_of(&self.send("POST", "/webservices", &body))
    }

    /// A test call of one `x`.
    #[track_caller]
    pub fn test(&self, service: &str, x: &str) -> Reply {
        self.send("POST", &format!("/webservices/{service}/score"), &one(x))
    }
}

/// A test call's body.
pub fn one(x: &str) -> Value {
    json!({"Id": "scoring0002", "Instance": {"FeatureVector": {"x": x}, "GlobalParameters": {}}})
}

/// The id that a call which makes something answers.
#[track_caller]
pub fn id_of(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let id = reply.json();
    let id = id.as_str().expect("an id").to_owned();
    assert_eq!(id.len(), 32, "{id}");
    id
}
