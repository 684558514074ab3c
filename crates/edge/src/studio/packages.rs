//! `…/webservicegroups/{g}/modelpackages`: model packages of a group.

use faults::Fault;
use http::StatusCode;
use serde_json::{Value, json};
use store::ModelPackageSummary;
use wire::studio::ModelPackage;

use super::{group, made, package, whole_body};
use crate::reply::Reply;
use crate::stack::Call;

/// `POST …/modelpackages`: the id of the new package.
pub(crate) async fn create(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let path = group(call)?;
    let principal = call.principal()?;
    let body = whole_body(call).await?;
    let manager = &call.gateway.manager;
    made(
        manager
            .create_model_package(&principal, &path, body)
            .await?,
    )
}

/// `GET …/modelpackages`.
pub(crate) async fn list(call: &Call<'_>) -> Result<Reply, Fault> {
    let path = group(call)?;
    let principal = call.principal()?;
    let packages = call
        .gateway
        .manager
        .model_packages(&principal, &path)
        .await?;
    let packages: Vec<ModelPackage> = packages.iter().map(listed).collect();
    Reply::json(StatusCode::OK, &packages)
}

/// `GET …/modelpackages/{p}`: as it was sent, without its secrets.
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Fault> {
    let (path, id) = package(call)?;
    let principal = call.principal()?;
    let manager = &call.gateway.manager;
    let mut view = manager.model_package(&principal, &path, id).await?;
    let summary = listed(&view.summary);
    if let Value::Object(document) = &mut view.document {
        // What the server knows counts, however it was spelled.
        let own = ["Id", "StatusCode", "CreationTime"];
        document.retain(|name, _| !own.iter().any(|own| name.eq_ignore_ascii_case(own)));
        document.insert("Id".into(), json!(summary.id));
        document.insert("StatusCode".into(), json!(summary.status_code));
        document.insert("CreationTime".into(), json!(summary.creation_time));
    }
    Reply::json(StatusCode::OK, &view.document)
}

/// `PUT` and `PATCH …/modelpackages/{p}`: `{"StatusCode": …}`; a package itself does not change.
pub(crate) async fn set_status(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let (path, id) = package(call)?;
    let principal = call.principal()?;
    let body = whole_body(call).await?;
    let manager = &call.gateway.manager;
    let summary = manager
        .set_package_status(&principal, &path, id, &body)
        .await?;
    Reply::json(StatusCode::OK, &listed(&summary))
}

/// `DELETE …/modelpackages/{p}`.
pub(crate) async fn delete(call: &Call<'_>) -> Result<Reply, Fault> {
    let (path, id) = package(call)?;
    let principal = call.principal()?;
    let manager = &call.gateway.manager;
    manager.delete_model_package(&principal, &path, id).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

pub(super) fn listed(summary: &ModelPackageSummary) -> ModelPackage {
    ModelPackage {
        id: summary.id.to_string(),
        status_code: manage::status_name(summary).to_owned(),
        creation_time: summary.created.to_string(),
    }
}
