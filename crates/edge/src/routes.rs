//! The one table of routes, and how a path finds its row.
//!
//! Not a tree of patterns: classic clients write path words in any case, join a base URL that ends
//! in a slash (`…//execute`), and leave ids empty, which must be answered by name
//! (`MissingWorkspaceId`) and not by an unknown path. A row is compared word by word; the rows of
//! scoring stand first.

use http::Method;

use telemetry::Surface;
use telemetry::Surface::{Admin, Blobs, Docs, Http, Jobs, Manage, Score};

use crate::action::Action;
use crate::action::Action::*;
use crate::reply::Errors;

/// One path and what its methods do.
pub(crate) struct Route {
    /// The path with `{holes}`; what logs call it.
    pub(crate) template: &'static str,
    /// The surface of its failures.
    pub(crate) surface: Surface,
    /// What each method does. `HEAD` goes where `GET` goes.
    pub(crate) methods: &'static [(Method, Action)],
}

const fn route(
    template: &'static str,
    surface: Surface,
    methods: &'static [(Method, Action)],
) -> Route {
    Route {
        template,
        surface,
        methods,
    }
}

const GET: Method = Method::GET;
const PUT: Method = Method::PUT;
const POST: Method = Method::POST;
const DELETE: Method = Method::DELETE;
const PATCH: Method = Method::PATCH;

/// Every path that this server answers.
pub(crate) static ROUTES: &[Route] = &[
    route(
        "/workspaces/{workspace}/services/{service}/execute",
        Score,
        &[(POST, ExecuteInWorkspace)],
    ),
    route(
        "/subscriptions/{subscription}/services/{service}/execute",
        Score,
        &[(POST, ExecuteInSubscription)],
    ),
    route(
        "/workspaces/{workspace}/services/{service}/score",
        Score,
        &[(POST, ScoreV1)],
    ),
    route(
        "/workspaces/{workspace}/services/{service}/jobs",
        Jobs,
        // What is of one job is a call whose job's id is empty.
        &[(POST, SubmitJob), (GET, ListJobs), (DELETE, CancelJob)],
    ),
    route(
        "/workspaces/{workspace}/services/{service}/jobs/{job}",
        Jobs,
        &[(GET, GetJob), (DELETE, CancelJob)],
    ),
    route(
        "/workspaces/{workspace}/services/{service}/jobs/{job}/start",
        Jobs,
        &[(POST, StartJob)],
    ),
    route(
        "/workspaces/{workspace}/services/{service}/jobs/{job}/logs",
        Jobs,
        &[(GET, GetJobLogs)],
    ),
    route(
        "/subscriptions/{subscription}/services/{service}/jobs",
        Jobs,
        &[(POST, SubmitJob), (GET, ListJobs), (DELETE, CancelJob)],
    ),
    route(
        "/subscriptions/{subscription}/services/{service}/jobs/{job}",
        Jobs,
        &[(GET, GetJob), (DELETE, CancelJob)],
    ),
    route(
        "/subscriptions/{subscription}/services/{service}/jobs/{job}/start",
        Jobs,
        &[(POST, StartJob)],
    ),
    route(
        "/workspaces/{workspace}/services/{service}/uploads",
        Jobs,
        &[(POST, UploadInWorkspace)],
    ),
    route(
        "/subscriptions/{subscription}/services/{service}/uploads",
        Jobs,
        &[(POST, UploadInSubscription)],
    ),
    route(
        "/subscriptions/{subscription}/services/{service}/jobs/{job}/logs",
        Jobs,
        &[(GET, GetJobLogs)],
    ),
    route(
        "/workspaces/{workspace}/services/{service}/swagger.json",
        Docs,
        &[(GET, SwaggerInWorkspace)],
    ),
    route(
        "/subscriptions/{subscription}/services/{service}/swagger.json",
        Docs,
        &[(GET, SwaggerInSubscription)],
    ),
    route(
        "/workspaces/{workspace}/webservices/{service}/endpoints/{endpoint}/apidocument",
        Docs,
        &[(GET, ApiDocument)],
    ),
    route(
        "/apihelp/workspaces/{workspace}/webservices/{service}/endpoints/{endpoint}/apidocument",
        Docs,
        &[(GET, ApiDocument)],
    ),
    route(
        "/apihelp/workspaces/{workspace}/webservices/{service}/endpoints/{endpoint}",
        Docs,
        &[(GET, HelpIndex)],
    ),
    route(
        "/apihelp/workspaces/{workspace}/webservices/{service}/endpoints/{endpoint}/score",
        Docs,
        &[(GET, HelpScore)],
    ),
    route(
        "/workspaces/{workspace}/webservices/{service}/endpoints/{endpoint}/score",
        Docs,
        &[(GET, HelpScore)],
    ),
    route(
        "/apihelp/workspaces/{workspace}/webservices/{service}/endpoints/{endpoint}/jobs",
        Docs,
        &[(GET, HelpJobs)],
    ),
    route(
        "/workspaces/{workspace}/webservices/{service}/endpoints/{endpoint}/jobs",
        Docs,
        &[(GET, HelpJobs)],
    ),
    route(
        "/apihelp/workspaces/{workspace}/webservices/{service}/endpoints/{endpoint}/update",
        Docs,
        &[(GET, HelpUpdate)],
    ),
    route(
        "/workspaces/{workspace}/webservices/{service}/endpoints/{endpoint}/update",
        Docs,
        &[(GET, HelpUpdate)],
    ),
    route(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearning/webServices/{name}",
        Manage,
        &[
            (PUT, PutWebService),
            (GET, GetWebService),
            (PATCH, PatchWebService),
            (DELETE, DeleteWebService),
        ],
    ),
    route(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearning/webServices/{name}/listKeys",
        Manage,
        // Clients of this resource send GET; Resource Manager's own habit is POST.
        &[(GET, ListWebServiceKeys), (POST, ListWebServiceKeys)],
    ),
    route(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearning/webServices/{name}/CreateRegionalBlob",
        Manage,
        &[(POST, CreateRegionalBlob)],
    ),
    route(
        "/subscriptions/{subscription}/providers/Microsoft.MachineLearning/locations/{location}/operationsStatus/{id}",
        Manage,
        &[(GET, GetOperationStatus)],
    ),
    route(
        "/subscriptions/{subscription}/providers/Microsoft.MachineLearning/locations/{location}/operationresults/{id}",
        Manage,
        &[(GET, GetOperationResult)],
    ),
    route(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearning/webServices",
        Manage,
        &[(GET, ListWebServicesOfGroup)],
    ),
    route(
        "/subscriptions/{subscription}/providers/Microsoft.MachineLearning/webServices",
        Manage,
        &[(GET, ListWebServicesOfSubscription)],
    ),
    route(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearning/workspaces/{name}",
        Manage,
        &[
            (PUT, PutArmWorkspace),
            (GET, GetArmWorkspace),
            (PATCH, PatchArmWorkspace),
            (DELETE, DeleteArmWorkspace),
        ],
    ),
    route(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearning/workspaces/{name}/listWorkspaceKeys",
        Manage,
        &[(POST, ListArmWorkspaceKeys)],
    ),
    route(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearning/workspaces/{name}/resyncStorageKeys",
        Manage,
        &[(POST, ResyncStorageKeys)],
    ),
    route(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearning/workspaces",
        Manage,
        &[(GET, ListArmWorkspacesOfGroup)],
    ),
    route(
        "/subscriptions/{subscription}/providers/Microsoft.MachineLearning/workspaces",
        Manage,
        &[(GET, ListArmWorkspacesOfSubscription)],
    ),
    route(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearning/commitmentPlans/{name}",
        Manage,
        &[
            (PUT, PutPlan),
            (GET, GetPlan),
            (PATCH, PatchPlan),
            (DELETE, DeletePlan),
        ],
    ),
    route(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearning/commitmentPlans/{name}/commitmentAssociations",
        Manage,
        &[(GET, ListPlanAssociations)],
    ),
    route(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearning/commitmentPlans/{name}/commitmentAssociations/{association}",
        Manage,
        &[(GET, GetPlanAssociation)],
    ),
    route(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearning/commitmentPlans/{name}/commitmentAssociations/{association}/move",
        Manage,
        &[(POST, MovePlanAssociation)],
    ),
    route(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearning/commitmentPlans/{name}/usageHistory",
        Manage,
        &[(GET, ListPlanUsage)],
    ),
    route(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearning/commitmentPlans",
        Manage,
        &[(GET, ListPlansOfGroup)],
    ),
    route(
        "/subscriptions/{subscription}/providers/Microsoft.MachineLearning/commitmentPlans",
        Manage,
        &[(GET, ListPlansOfSubscription)],
    ),
    route(
        "/subscriptions/{subscription}/providers/Microsoft.MachineLearning/skus",
        Manage,
        &[(GET, ListPlanSkus)],
    ),
    route(
        "/providers/Microsoft.MachineLearning/operations",
        Manage,
        &[(GET, ListOperations)],
    ),
    route(
        "/subscriptions/{subscription}/providers/Microsoft.MachineLearning",
        Manage,
        &[(GET, GetProvider)],
    ),
    route("/umpire/v1/usage", Admin, &[(GET, GetUsage)]),
    route("/umpire/v1/openapi", Admin, &[(GET, ListOpenApi)]),
    route("/umpire/v1/openapi/{document}", Admin, &[(GET, GetOpenApi)]),
    route(
        "/umpire/v1/blobs/{sha256}",
        Admin,
        &[(PUT, PutBlob), (GET, HasBlob)],
    ),
    route("/umpire/v1/workspaces", Admin, &[(GET, ListWorkspaces)]),
    route(
        "/umpire/v1/workspaces/{name}",
        Admin,
        &[
            (PUT, PutWorkspace),
            (GET, GetWorkspace),
            (DELETE, DeleteWorkspace),
        ],
    ),
    route(
        "/umpire/v1/workspaces/{name}/tokens",
        Admin,
        &[(GET, GetWorkspaceTokens), (POST, RotateWorkspaceToken)],
    ),
    route(
        "/umpire/v1/workspaces/{name}/storage",
        Admin,
        &[(GET, ListBlobContainers)],
    ),
    route(
        "/umpire/v1/workspaces/{name}/storage/{container}",
        Admin,
        &[
            (GET, ListBlobs),
            (POST, LinkBlob),
            (DELETE, DeleteBlobContainer),
        ],
    ),
    route("/umpire/v1/services", Admin, &[(GET, ListServices)]),
    route(
        "/umpire/v1/services/{name}",
        Admin,
        &[(GET, GetService), (DELETE, DeleteService)],
    ),
    route(
        "/umpire/v1/services/{name}/keys",
        Admin,
        &[(GET, GetKeys), (POST, RotateKey)],
    ),
    route(
        "/umpire/v1/services/{name}/revisions",
        Admin,
        &[(GET, ListRevisions)],
    ),
    route(
        "/umpire/v1/services/{name}/rollback",
        Admin,
        &[(POST, Rollback)],
    ),
    route("/umpire/v1/services/{name}/logs", Admin, &[(GET, ReadLogs)]),
    route(
        "/umpire/v1/limits",
        Admin,
        &[(GET, GetLimits), (PUT, PutLimits)],
    ),
    route(
        "/umpire/v1/cluster/configuration",
        Admin,
        &[(GET, GetConfiguration), (PUT, PutConfiguration)],
    ),
    route(
        "/umpire/v1/configuration/reload",
        Admin,
        &[(POST, ReloadConfiguration)],
    ),
    route("/umpire/v1/backup", Admin, &[(POST, MakeBackup)]),
    route(
        "/umpire/v1/services/{name}/export",
        Admin,
        &[(GET, ExportService)],
    ),
    route("/umpire/v1/secrets/rotate", Admin, &[(POST, RotateSecrets)]),
    route("/umpire/v1/nodes", Admin, &[(GET, ListNodes)]),
    route("/umpire/v1/nodes/{node}/drain", Admin, &[(POST, DrainNode)]),
    route(
        "/umpire/v1/nodes/{node}/resume",
        Admin,
        &[(POST, ResumeNode)],
    ),
    route("/umpire/v1/containers", Admin, &[(GET, ListContainers)]),
    route(
        "/umpire/v1/containers/{container}/retire",
        Admin,
        &[(POST, RetireContainer)],
    ),
    route(
        "/umpire/v1/tokens",
        Admin,
        &[(GET, ListTokens), (POST, CreateToken)],
    ),
    route("/umpire/v1/tokens/{name}", Admin, &[(DELETE, RevokeToken)]),
    route("/umpire/v1/audit", Admin, &[(GET, ReadAudit)]),
    route(
        "/api/workspaces/{workspace}",
        Manage,
        &[(GET, GetStudioWorkspace)],
    ),
    route(
        "/api/workspaces/{workspace}/modules",
        Manage,
        &[(GET, ListModules)],
    ),
    route(
        "/api/workspaces/{workspace}/datasources",
        Manage,
        &[(GET, ListDataSources)],
    ),
    route(
        "/api/workspaces/{workspace}/trainedmodels",
        Manage,
        &[(GET, ListTrainedModels)],
    ),
    route(
        "/api/workspaces/{workspace}/transformmodules",
        Manage,
        &[(GET, ListTransforms)],
    ),
    route(
        "/api/workspaces/{workspace}/webservicegroups",
        Manage,
        &[(POST, CreateGroup), (GET, ListGroups)],
    ),
    route(
        "/api/workspaces/{workspace}/webservicegroups/{group}",
        Manage,
        &[
            (GET, GetGroup),
            (PUT, ChangeGroup),
            (PATCH, ChangeGroup),
            (DELETE, DeleteGroup),
        ],
    ),
    route(
        "/api/workspaces/{workspace}/webservicegroups/{group}/modelpackages",
        Manage,
        &[(POST, CreateModelPackage), (GET, ListModelPackages)],
    ),
    route(
        "/api/workspaces/{workspace}/webservicegroups/{group}/modelpackages/{package}",
        Manage,
        &[
            (GET, GetModelPackage),
            (PUT, SetModelPackageStatus),
            (PATCH, SetModelPackageStatus),
            (DELETE, DeleteModelPackage),
        ],
    ),
    route(
        "/api/workspaces/{workspace}/webservicegroups/{group}/webservices",
        Manage,
        &[(POST, Publish), (GET, ListPublished)],
    ),
    route(
        "/api/workspaces/{workspace}/webservicegroups/{group}/webservices/{service}",
        Manage,
        &[
            (GET, GetPublished),
            (PUT, PutPublished),
            (DELETE, Unpublish),
        ],
    ),
    route(
        "/api/workspaces/{workspace}/webservicegroups/{group}/webservices/{service}/webservicedefinition",
        Manage,
        &[(GET, ExportDefinition)],
    ),
    route(
        "/api/workspaces/{workspace}/webservicegroups/{group}/webservices/{service}/score",
        Score,
        &[(POST, TestPublished)],
    ),
    route(
        "/workspaces/{workspace}/webservices",
        Manage,
        // What is of one service is a call whose service's id is empty.
        &[
            (GET, ListClassicServices),
            (PUT, PublishCode),
            (DELETE, DeleteClassicService),
        ],
    ),
    route(
        "/workspaces/{workspace}/webservices/{service}",
        Manage,
        &[
            (GET, GetClassicService),
            (PUT, PublishCode),
            (DELETE, DeleteClassicService),
        ],
    ),
    route(
        "/workspaces/{workspace}/webservices/{service}/endpoints",
        Manage,
        &[(GET, ListEndpoints)],
    ),
    route(
        "/workspaces/{workspace}/webservices/{service}/endpoints/{endpoint}",
        Manage,
        &[
            (GET, GetEndpoint),
            (PUT, PutEndpoint),
            (PATCH, PatchEndpoint),
            (DELETE, DeleteEndpoint),
        ],
    ),
    route(
        "/workspaces/{workspace}/webservices/{service}/endpoints/{endpoint}/refresh",
        Manage,
        &[(POST, RefreshEndpoint)],
    ),
    route("/livez", Http, &[(GET, Live)]),
    route("/readyz", Http, &[(GET, Ready)]),
    route("/metrics", Http, &[(GET, Metrics)]),
];

/// Blobs of workspaces. Their names have slashes of their own, so that this path has no fixed
/// number of words: its last hole is all that is left.
static BLOB: Route = route(
    "/blobs/{workspace}/{container}/{blob}",
    Blobs,
    &[(GET, ReadBlob), (PUT, WriteBlob), (DELETE, EraseBlob)],
);
/// What its path begins with.
const BLOBS: &str = "/blobs/";

/// The most segments that a path of ours has.
const SEGMENTS: usize = 12;
/// The most holes.
const HOLES: usize = 4;

/// A path that has a row.
#[derive(Clone, Copy)]
pub(crate) struct Matched<'p> {
    pub(crate) route: &'static Route,
    holes: [&'p str; HOLES],
}

impl<'p> Matched<'p> {
    /// What stands in hole `i`, still percent-encoded.
    pub(crate) fn hole(&self, i: usize) -> &'p str {
        self.holes.get(i).copied().unwrap_or_default()
    }
}

/// Finds the row of a path. Slashes doubled at the start, before the last word or where a base URL
/// that ends in one was joined, and one at the end count for nothing.
pub(crate) fn find(path: &str) -> Option<Matched<'_>> {
    if let Some(blob) = find_blob(path) {
        return Some(blob);
    }
    let path = path.trim_start_matches('/');
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut segments = [""; SEGMENTS + 1];
    let mut count = 0;
    for segment in path.split('/') {
        *segments.get_mut(count)? = segment;
        count += 1;
    }
    let segments = &segments[..count];
    let found = match_exactly(segments);
    if found.is_some() {
        return found;
    }
    let doubled = (1..count).rev().filter(|i| segments[*i].is_empty());
    doubled.into_iter().find_map(|doubled| {
        let mut rest = [""; SEGMENTS];
        let others = segments.iter().enumerate().filter(|(i, _)| *i != doubled);
        let slots = rest.iter_mut().zip(others);
        slots.for_each(|(slot, (_, segment))| *slot = segment);
        match_exactly(&rest[..count - 1])
    })
}

/// The blob that a path names. A base that ends in a slash and a relative location that begins with
/// one are joined by some.
fn find_blob(path: &str) -> Option<Matched<'_>> {
    let (workspace, rest) = path.strip_prefix(BLOBS)?.split_once('/')?;
    let (container, blob) = rest.trim_start_matches('/').split_once('/')?;
    Some(Matched {
        route: &BLOB,
        holes: [workspace, container, blob, ""],
    })
}

fn match_exactly<'p>(segments: &[&'p str]) -> Option<Matched<'p>> {
    ROUTES.iter().find_map(|route| {
        let mut holes = [""; HOLES];
        let mut hole = 0;
        let mut given = segments.iter();
        for word in route.template[1..].split('/') {
            let segment = given.next()?;
            if word.starts_with('{') {
                holes[hole] = segment;
                hole += 1;
            } else if !word.eq_ignore_ascii_case(segment) {
                return None;
            }
        }
        given.next().is_none().then_some(Matched { route, holes })
    })
}

impl Route {
    /// Where a failure's class and text stand. The documents of the workspaces have them at the
    /// top, clients of theirs look for either, and the other documents have no such member.
    pub(crate) fn errors(&self) -> Errors {
        const TWICE: [&str; 2] = [
            "/providers/Microsoft.MachineLearning/workspaces",
            "/providers/Microsoft.MachineLearning/operations",
        ];
        if self.surface == Blobs {
            return Errors::OfStorage;
        }
        match TWICE.iter().any(|part| self.template.contains(part)) {
            true => Errors::Twice,
            false => Errors::Enveloped,
        }
    }

    /// What a method does here.
    pub(crate) fn action(&self, method: &Method) -> Option<Action> {
        let method = if *method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        self.methods
            .iter()
            .find(|(m, _)| m == method)
            .map(|(_, action)| *action)
    }

    /// The value of `Allow`.
    pub(crate) fn allow(&self) -> String {
        let mut names = Vec::new();
        for (method, _) in self.methods {
            names.push(method.as_str());
            if *method == Method::GET {
                names.push("HEAD");
            }
        }
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(path: &str) -> Option<&'static str> {
        find(path).map(|m| m.route.template)
    }

    #[test]
    fn every_template_finds_its_own_row_and_fits() {
        for route in ROUTES {
            let path = route.template;
            assert_eq!(template(path), Some(path));
            assert!(path[1..].split('/').count() <= SEGMENTS, "{path}");
            assert!(path.matches('{').count() <= HOLES, "{path}");
        }
    }

    #[test]
    fn a_blobs_name_is_all_that_is_left() {
        for path in ["/blobs/w/c/a/b%20c//d.csv", "/blobs/w//c/a/b%20c//d.csv"] {
            let found = find(path).unwrap();
            let holes = [found.hole(0), found.hole(1), found.hole(2)];
            assert_eq!(holes, ["w", "c", "a/b%20c//d.csv"], "{path}");
            assert_eq!(found.route.errors(), Errors::OfStorage);
        }
        assert_eq!(template("/blobs/w/c"), None);
    }

    #[test]
    fn words_match_in_any_case_and_holes_keep_theirs() {
        let found = find("/Workspaces/AB/SERVICES/cD/Execute").unwrap();
        assert_eq!((found.hole(0), found.hole(1)), ("AB", "cD"));
    }

    #[test]
    fn doubled_slashes_are_forgiven_where_clients_make_them() {
        let execute = Some("/workspaces/{workspace}/services/{service}/execute");
        assert_eq!(template("/workspaces/a/services/b//execute"), execute);
        assert_eq!(template("//workspaces/a/services/b/execute"), execute);
        assert_eq!(template("/workspaces/a/services/b/execute/"), execute);
        let job = find("/workspaces/a/services/b//jobs/c/").unwrap();
        assert_eq!([0, 1, 2].map(|i| job.hole(i)), ["a", "b", "c"]);
        let start = find("/subscriptions/a/services/b//jobs/c/start").unwrap();
        assert_eq!([0, 1, 2].map(|i| start.hole(i)), ["a", "b", "c"]);
    }

    #[test]
    fn an_empty_id_is_an_empty_hole() {
        let found = find("/workspaces//services/b/execute").unwrap();
        assert_eq!((found.hole(0), found.hole(1)), ("", "b"));
        let found = find("/workspaces/a/services//execute").unwrap();
        assert_eq!((found.hole(0), found.hole(1)), ("a", ""));
        let found = find("/workspaces//services//execute").unwrap();
        assert_eq!((found.hole(0), found.hole(1)), ("", ""));
        let found = find("/workspaces/a/services/b/jobs//start").unwrap();
        assert_eq!((found.hole(1), found.hole(2)), ("b", ""));
    }

    #[test]
    fn other_paths_have_no_row() {
        for path in [
            "",
            "/",
            "//",
            "/nothing",
            "/workspaces/a/services/b",
            "/workspaces/a/services/b/execute/more",
            "/workspaces/services/b/execute",
            "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o",
            "*",
        ] {
            assert_eq!(template(path), None, "{path}");
        }
    }

    #[test]
    fn head_goes_where_get_goes_and_allow_lists_both() {
        let found = find("/livez").unwrap();
        assert!(found.route.action(&Method::HEAD).is_some());
        assert!(found.route.action(&Method::POST).is_none());
        assert_eq!(found.route.allow(), "GET, HEAD");
    }
}
