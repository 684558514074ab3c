//! `POST …/services/{service}/uploads`: a place for an input, for whoever holds a key of the
//! endpoint.

use std::time::Duration;

use faults::{Fault, bad_argument};
use http::StatusCode;
use jiff::Timestamp;
use scoring::{Address, Family};
use store::{BlobAt, BlobGrant, Id, Permission};
use wire::bes_2_0::BlobReference;
use wire::uploads::{Upload, UploadRequest};

use super::base_location;
use crate::extract;
use crate::reply::Reply;
use crate::stack::Call;

/// The versions of this call.
const VERSIONS: &[&str] = &["2.0"];
/// How long an upload may take, and a download of what was uploaded.
const VALID: Duration = Duration::from_secs(60 * 60);
/// The same of a blob that its owner deletes when he is done: a job lies in between.
const VALID_TEMPORARY: Duration = Duration::from_secs(24 * 60 * 60);
/// The blob container that uploads stand in.
const CONTAINER: &str = "uploads";
/// The largest body.
const BODY_BYTES: usize = 16 * 1024;
/// The longest name of a file, in bytes.
const NAME_BYTES: usize = 200;

/// Answers with a reference to a blob that is not there yet, which its holder may write and read
/// for an hour; or for a day, and delete, where it is temporary. The checks come in the order of a
/// scoring call.
pub(crate) async fn create(call: &mut Call<'_>, family: Family) -> Result<Reply, Fault> {
    let address = Address::parse(family, &call.word(0), &call.word(1))?;
    extract::api_version(call.query("api-version").as_deref(), VERSIONS, true)?;
    let endpoint = call.gateway.scorer.find(&address, call.credential())?;
    let body = call.json_body(BODY_BYTES).await?;
    let request: UploadRequest = serde_json::from_slice(&body).map_err(|e| {
        bad_argument::request_body_invalid()
            .caused_by(&e)
            .because("the body is no upload's")
    })?;
    let wrong = |why: String| bad_argument::request_body_invalid().at("Name").because(why);
    if request.name.is_empty() || request.name.len() > NAME_BYTES {
        return Err(wrong(format!("it has not 1 to {NAME_BYTES} bytes")));
    }
    let relative = format!("{}/{}", Id::random(), plain(&request.name));
    let workspace = endpoint.entry().workspace;
    let at = BlobAt::new(workspace, CONTAINER, &relative)
        .map_err(|problem| wrong(problem.to_string()))?;
    let mut permissions = vec![Permission::Read, Permission::Create, Permission::Write];
    let mut valid = VALID;
    if request.temporary {
        permissions.push(Permission::Delete);
        valid = VALID_TEMPORARY;
    }
    let expires = Timestamp::now()
        .checked_add(valid)
        .unwrap_or(Timestamp::MAX);
    let sealer = &call.gateway.store.sealer;
    let upload = Upload {
        reference: BlobReference {
            connection_string: None,
            relative_location: Some(format!("{CONTAINER}/{relative}")),
            base_location: Some(base_location(&call.base_url(), workspace)),
            sas_blob_token: Some(BlobGrant::query(sealer, &at, &permissions, expires)),
        },
        expiry_time: Timestamp::from_second(expires.as_second())
            .unwrap_or(expires)
            .to_string(),
    };
    Reply::json(StatusCode::CREATED, &upload)
}

/// A file's name as it is the same in a URL and out of one.
fn plain(name: &str) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    name.chars()
        .map(|c| if kept(c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_needs_no_percent_signs() {
        assert_eq!(plain("Mühle 1/2.CSV.gz"), "M_hle_1_2.CSV.gz");
        assert_eq!(plain("../a?b#c%"), ".._a_b_c_");
    }
}
