//! The failure matrix: one provocation per row of the catalogue.
//!
//! Each test makes the row's condition really true, by what an operator or a client can do, and
//! compares the whole answer. `provocations!` keeps the list of names, which the four-way check
//! below compares with the catalogue and with `pending.txt`.

#[path = "../support/mod.rs"]
mod support;

mod arm;
mod batch;
mod calls;
mod classic;
mod containers;
mod deploys;
mod installation;
mod lookups;
mod operations;
mod parameters;
mod stored;
mod studio;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Declares the provocations: a test for each, and the list of the names they provoke.
macro_rules! provocations {
    ($($name:literal => $module:ident::$function:ident;)+) => {
        /// What is provoked, as `Class.Code` or `Class`.
        const PROVOKED: &[&str] = &[$($name),+];
        $(
            #[allow(non_snake_case)]
            mod $function {
                #[test]
                fn is_provoked() {
                    crate::$module::$function();
                }
            }
        )+
    };
}

provocations! {
    "BadArgument.BadParameterValue" => parameters::bad_parameter_value;
    "BadArgument.BadSubscriptionId" => lookups::bad_subscription_id;
    "BadArgument.BadVersionCall" => calls::bad_version_call;
    "BadArgument.BlobNotFound" => classic::blob_not_found;
    "BadArgument.ContainerIsEmpty" => classic::container_is_empty;
    "BadArgument.ContainerSegmentInvalid" => classic::container_segment_invalid;
    "BadArgument.DataTypeNotSupported" => deploys::data_type_not_supported;
    "BadArgument.InvalidInputNames" => calls::invalid_input_names;
    "BadArgument.InvalidBlob" => classic::invalid_blob;
    "BadArgument.InvalidBlobExtension" => classic::invalid_blob_extension;
    "BadArgument.InvalidQueryParameter" => calls::invalid_query_parameter;
    "BadArgument.MissingKeys" => deploys::missing_keys;
    "BadArgument.MissingRequestInput" => calls::missing_request_input;
    "BadArgument.MissingRequiredGlobalParameters" => parameters::missing_required_global_parameters;
    "BadArgument.MissingWebServiceId" => lookups::missing_web_service_id;
    "BadArgument.MissingWebServicePackage" => classic::missing_web_service_package;
    "BadArgument.MissingWorkspaceId" => lookups::missing_workspace_id;
    "BadArgument.RequestBodyInvalid" => calls::request_body_invalid;
    "BadArgument.RequestIsEmpty" => calls::request_is_empty;
    "BadArgument.UnexpectedParameter" => parameters::unexpected_parameter;
    "BadArgument.UserParameterInvalid" => parameters::user_parameter_invalid;
    "BadArgument.WebServiceIdInvalid" => lookups::web_service_id_invalid;
    "BadArgument.WebServiceTooManyConcurrentRequestRequirement" => deploys::too_many_concurrent_calls;
    "BadArgument.WebServiceTypeInvalid" => deploys::web_service_type_invalid;
    "BadUserArgument.InputMismatchError" => calls::input_mismatch_error;
    "BadUserArgument.InputParseError" => calls::input_parse_error;
    "BadUserArgument.MissingRequiredGlobalParameters" => parameters::mode_parameter_missing;
    "BadUserArgument.UnexpectedParameter" => parameters::mode_parameter_unexpected;
    "BadUserArgument.UserParameterInvalid" => parameters::selection_selects_nothing;
    "InvalidOperation.IncompatibleModel" => calls::incompatible_model;
    "InvalidOperation.MultipleInputsNotAllowed" => calls::multiple_inputs_not_allowed;
    "LibraryExecutionError" => calls::library_execution_error;
    "ModuleExecutionError" => calls::module_execution_error;
    "WebServicePackageError.FormatError" => deploys::format_error;
    "WebServicePackageError.RuntimesError" => deploys::runtimes_error;
    "WebServicePackageError.ValidationError" => deploys::validation_error;
    "Unauthorized.AdminRequestUnauthorized" => lookups::admin_request_unauthorized;
    "Unauthorized.ManagementRequestUnauthorized" => lookups::management_request_unauthorized;
    "Unauthorized.ScoreRequestUnauthorized" => lookups::score_request_unauthorized;
    "NotFound.WebServiceIdNotFoundInWorkspace" => lookups::web_service_id_not_found_in_workspace;
    "NotFound.WebServiceNotFound" => lookups::web_service_not_found;
    "NotFound.WorkspaceNotFound" => lookups::workspace_not_found;
    "RequestTimeout.RequestCanceled" => containers::request_canceled;
    "RequestTimeout.ScoreRequestTimeout" => containers::score_request_timeout;
    "Conflict.ModelOutputMetadataMismatch" => deploys::model_output_metadata_mismatch;
    "MemoryQuotaViolation.OutOfMemoryLimit" => containers::out_of_memory_limit;
    "InternalError.AdminAuthenticationFailed" => installation::admin_authentication_failed;
    "InternalError.BackendArgumentError" => containers::backend_argument_error;
    "InternalError.BackendBadRequest" => containers::backend_bad_request;
    "InternalError.ClusterConfigBlobMisconfigured" => operations::cluster_config_blob_misconfigured;
    "InternalError.ContainerProcessTerminatedWithSystemError" => containers::terminated_with_system_error;
    "InternalError.ContainerProcessTerminatedWithUnknownError" => containers::terminated_with_unknown_error;
    "InternalError.DeleteWebServiceResourceFailed" => classic::delete_web_service_resource_failed;
    "InternalError.ContainerValidationFailed" => operations::container_validation_failed;
    "InternalError.FailedGettingApiDocument" => stored::failed_getting_api_document;
    "InternalError.FailedStoringWebService" => installation::failed_storing_web_service;
    "InternalError.InvalidMemoryConfiguration" => installation::invalid_memory_configuration;
    "InternalError.InvalidResourceCacheConfiguration" => installation::invalid_resource_cache_configuration;
    "InternalError.InvalidResourceDownloadConfiguration" => installation::invalid_resource_download_configuration;
    "WebServicePackageInternalError.ModuleError" => arm::module_error;
    "InternalError.InvalidWebServiceResources" => arm::invalid_web_service_resources;
    "InternalError.ResourceDownload" => arm::resource_download;
    "InternalError.ResourceLoadFailed" => arm::resource_load_failed;
    "InternalError.ModelPackageInvalid" => stored::model_package_invalid;
    "InternalError.PortDataTypeNotSupported" => stored::port_data_type_not_supported;
    "InternalError.ServiceUrisNotFound" => operations::service_uris_not_found;
    "InternalError.SwaggerGeneration" => deploys::swagger_generation;
    "InternalError.UnexpectedScoreStatus" => containers::unexpected_score_status;
    "InternalError.UnknownBackendErrorResponse" => containers::unknown_backend_error_response;
    "InternalError.UnknownError" => stored::unknown_error;
    "InternalError.UpdateWebServiceResourceFailed" => classic::update_web_service_resource_failed;
    "InternalError.WebServicePackageInvalid" => stored::web_service_package_invalid;
    "InternalError.WorkerAuthorizationFailed" => containers::worker_authorization_failed;
    "InternalError.WorkerUnreachable" => containers::worker_unreachable;
    "InternalErrorSystemLowOnMemory" => installation::system_low_on_memory;
    "ModelPackageFormatError" => deploys::model_package_format_error;
    "InitializingContainers" => containers::initializing_containers;
    "ServiceUnavailable.NoMoreResources" => containers::no_more_resources;
    "ServiceUnavailable.RequestThrottled" => containers::request_throttled;
    "ServiceUnavailable.TooManyConcurrentRequests" => containers::too_many_concurrent_requests;
    "ServiceUnavailable.TooManyHostsBeingInitialized" => containers::too_many_hosts_being_initialized;
    "ServiceUnavailable.TooManyHostsBeingInitializedPerModel" => containers::too_many_hosts_per_model;
    "GatewayTimeout.BackendInitializationTimeout" => containers::backend_initialization_timeout;
    "GatewayTimeout.BackendScoreTimeout" => containers::backend_score_timeout;
    "BadArgument.BlobNameTooLong" => studio::blob_name_too_long;
    "BadArgument.ExpiryTimeInThePast" => studio::expiry_time_in_the_past;
    "BadArgument.IncompleteSettings" => studio::incomplete_settings;
    "BadArgument.InvalidBlobConnectionString" => studio::invalid_blob_connection_string;
    "BadArgument.MissingModelPackage" => studio::missing_model_package;
    "BadArgument.MissingWebServiceGroupId" => studio::missing_web_service_group_id;
    "BadArgument.ModelConfigurationInvalid" => studio::model_configuration_invalid;
    "BadArgument.ModelPackageIdInvalid" => studio::model_package_id_invalid;
    "BadArgument.WebServiceConcurrentRequestRequirementInvalid" => studio::concurrent_request_requirement_invalid;
    "NotFound.ModelPackageNotFound" => studio::model_package_not_found;
    "InternalError.WebServiceGroupNotFound" => studio::web_service_group_not_found;
    "BadArgument.BatchJobInputsNotSpecified" => batch::batch_job_inputs_not_specified;
    "BadArgument.BatchJobInputsTooManySpecified" => batch::batch_job_inputs_too_many_specified;
    "BadArgument.ContainerValidationFailed" => batch::container_refuses_writing;
    "BadArgument.DuplicateInputInBatchCall" => batch::duplicate_input_in_batch_call;
    "BadArgument.InputBlobRelativeLocationInvalid" => batch::input_blob_relative_location_invalid;
    "BadArgument.InvalidOutputOverrideName" => batch::invalid_output_override_name;
    "BadArgument.MissingInputBlobInformation" => batch::missing_input_blob_information;
    "BadArgument.MissingJobId" => batch::missing_job_id;
    "BadArgument.MissingOutputOverrideSpecification" => batch::missing_output_override_specification;
    "BadArgument.MissingRequiredOutputOverrides" => batch::missing_required_output_overrides;
    "BadArgument.UnknownError" => batch::storage_says_nothing;
    "InvalidOperation.CannotStartJob" => batch::cannot_start_job;
    "InternalError.MissingTaskInstance" => batch::missing_task_instance;
    "InternalError.UnknownJobStatusCode" => batch::unknown_job_status_code;
}

/// Rows of the list above that batch jobs provoke as well.
mod on_the_batch_surface {
    use crate::batch;

    #[test]
    fn blob_not_found() {
        batch::blob_not_found();
    }

    #[test]
    fn invalid_blob() {
        batch::invalid_blob();
    }

    #[test]
    fn invalid_blob_connection_string() {
        batch::invalid_blob_connection_string();
    }

    #[test]
    fn invalid_blob_extension() {
        batch::invalid_blob_extension();
    }

    #[test]
    fn container_is_empty() {
        batch::container_is_empty();
    }

    #[test]
    fn container_segment_invalid() {
        batch::container_segment_invalid();
    }
}

/// How long `pending.txt` may be. Lower it with every name that leaves the list.
const MOST_PENDING: usize = 6;

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/app")
        .to_path_buf()
}

/// The names on `pending.txt`.
fn pending() -> Vec<String> {
    let text =
        std::fs::read_to_string(root().join("tests/contract/pending.txt")).expect("pending.txt");
    text.lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// Every row is provoked or pending, and none is both: a row that is provoked while it is listed
/// has to leave the list, so that the list only shrinks.
#[test]
fn every_row_is_provoked_or_pending() {
    let names: BTreeSet<String> = faults::provocation_names().into_iter().collect();
    assert_eq!(
        names.len(),
        115,
        "the catalogue has 110 rows and 5 classes without rows"
    );
    let provoked: BTreeSet<String> = PROVOKED.iter().map(|s| s.to_string()).collect();
    assert_eq!(provoked.len(), PROVOKED.len(), "a name is provoked twice");
    let listed = pending();
    let pending: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(pending.len(), listed.len(), "a name is pending twice");

    let both: Vec<_> = provoked.intersection(&pending).collect();
    assert!(
        both.is_empty(),
        "provoked, so take off pending.txt: {both:?}"
    );
    let neither: Vec<_> = names
        .iter()
        .filter(|n| !provoked.contains(*n) && !pending.contains(*n))
        .collect();
    assert!(
        neither.is_empty(),
        "neither provoked nor pending: {neither:?}"
    );
    let strangers: Vec<_> = provoked
        .union(&pending)
        .filter(|n| !names.contains(*n))
        .collect();
    assert!(strangers.is_empty(), "not in the catalogue: {strangers:?}");
    assert!(
        pending.len() <= MOST_PENDING,
        "the list may only shrink: {} names are pending",
        pending.len()
    );
    println!(
        "{} of 115 provoked, {} pending",
        provoked.len(),
        pending.len()
    );
}

/// A provoked row is raised by code of ours outside the table: some file's code (no comment, no
/// test) names its constructor together with the constructor's module or, for a class without
/// rows, the class.
#[test]
fn every_provoked_row_is_raised() {
    let mut files = Vec::new();
    for entry in walk(&root().join("crates")) {
        let path = entry.to_string_lossy();
        let table = [
            "catalogue.rs",
            "table.rs",
            "extensions.rs",
            "tests.rs",
            "testing.rs",
        ];
        if !path.ends_with(".rs")
            || !path.contains("/src/")
            || table.iter().any(|t| path.ends_with(t))
        {
            continue;
        }
        let text = std::fs::read_to_string(&entry).expect("a source file");
        let code = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        let code: Vec<_> = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        files.push(code.join("\n"));
    }
    let missing: Vec<_> = PROVOKED
        .iter()
        .filter(|name| {
            !files.iter().any(|code| match name.split_once('.') {
                Some((class, row)) => {
                    let (class, row) = (snake(class), snake(row));
                    code.contains(&format!("{class}::{row}"))
                        || (code.contains(&format!("{class}::{{")) && contains_word(code, &row))
                        || (code.contains(&format!("{class},")) && contains_word(code, &row))
                }
                None => code.contains(&format!("Class::{name}")),
            })
        })
        .collect();
    assert!(
        missing.is_empty(),
        "provoked by a test but raised nowhere: {missing:?}"
    );
}

/// Whether `word` stands in `text`, not as a part of a longer one.
fn contains_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(walk(&path))
        } else {
            found.push(path)
        }
    }
    found
}

/// `BadParameterValue` → `bad_parameter_value`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
