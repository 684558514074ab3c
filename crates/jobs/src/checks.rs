//! What is wrong with the names and the number of blobs that a job is given. Nothing is asked of
//! anybody here.

use faults::{Fault, bad_argument, invalid_operation};
use storage::BlobReference;
use store::ApiVersion;

use crate::request::JobRequest;

/// A name of a port and the blob that a job gives for it; `None` for `null`.
type Named = (String, Option<BlobReference>);

/// Refuses a call of version 1 to a service that this version cannot express.
///
/// # Errors
/// `InvalidOperation.MultipleInputsNotAllowed`; `InvalidOperation.IncompatibleModel`.
pub(crate) fn version(
    version: ApiVersion,
    inputs: usize,
    outputs: usize,
    models: bool,
) -> Result<(), Fault> {
    if version == ApiVersion::V2 {
        return Ok(());
    }
    if inputs > 1 {
        return Err(invalid_operation::multiple_inputs_not_allowed());
    }
    if outputs > 1 || models {
        return Err(invalid_operation::incompatible_model());
    }
    Ok(())
}

/// The blob for each input of the service, in the service's order.
///
/// # Errors
/// `BadArgument.DuplicateInputInBatchCall`, `BadArgument.BatchJobInputsTooManySpecified`,
/// `BadArgument.InvalidInputNames`, `BadArgument.BatchJobInputsNotSpecified`.
pub(crate) fn inputs(request: &JobRequest, accepted: &[&str]) -> Result<Vec<Named>, Fault> {
    let inputs = request.inputs.as_deref().unwrap_or_default();
    let given: Vec<Named> = match (&request.input, accepted) {
        // Clients that know both members send the other one empty.
        (Some(Some(_)), _) if !inputs.is_empty() => {
            return Err(bad_argument::duplicate_input_in_batch_call());
        }
        (Some(input), [sole]) if inputs.is_empty() => vec![((*sole).to_owned(), input.clone())],
        (Some(Some(_)), []) => {
            return Err(bad_argument::batch_job_inputs_too_many_specified(""));
        }
        _ => inputs.to_vec(),
    };
    if given.len() > accepted.len() {
        return Err(bad_argument::batch_job_inputs_too_many_specified(
            accepted.join(", "),
        ));
    }
    let unknown: Vec<&str> = given
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| !accepted.contains(name))
        .collect();
    if !unknown.is_empty() {
        return Err(bad_argument::invalid_input_names(unknown.join(", ")));
    }
    let find = |name: &str| given.iter().find(|(given, _)| given == name);
    let missing: Vec<&str> = accepted
        .iter()
        .copied()
        .filter(|name| find(name).is_none())
        .collect();
    if !missing.is_empty() {
        return Err(bad_argument::batch_job_inputs_not_specified(
            missing.join(", "),
        ));
    }
    Ok(accepted
        .iter()
        .filter_map(|name| find(name))
        .cloned()
        .collect())
}

/// For each output of the service, in the service's order, the blob that the job gives in the
/// place of the workspace's own store, where it does: `Some(None)` for `null`. `own_key` says that
/// the workspace's data lies under its owner's key.
///
/// # Errors
/// `BadArgument.InvalidOutputOverrideName`, `BadArgument.MissingRequiredOutputOverrides`.
pub(crate) fn outputs(
    request: &JobRequest,
    accepted: &[&str],
    own_key: bool,
) -> Result<Vec<Option<Option<BlobReference>>>, Fault> {
    let given: Vec<Named> = match (&request.outputs, &request.output, accepted) {
        (Some(outputs), _, _) => outputs.clone(),
        (None, Some(Some(output)), [sole, ..]) => {
            vec![((*sole).to_owned(), Some(output.clone()))]
        }
        _ => Vec::new(),
    };
    let known = |name: &str| accepted.contains(&name);
    if let Some((name, _)) = given.iter().find(|(name, _)| !known(name)) {
        return Err(bad_argument::invalid_output_override_name(name));
    }
    let find = |name: &str| given.iter().find(|(given, _)| given == name);
    let missing: Vec<&str> = accepted
        .iter()
        .copied()
        .filter(|name| find(name).is_none())
        .collect();
    if own_key && !missing.is_empty() {
        return Err(bad_argument::missing_required_output_overrides(
            missing.join(", "),
        ));
    }
    let blobs = accepted
        .iter()
        .map(|name| find(name).map(|(_, blob)| blob.clone()));
    Ok(blobs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use faults::rows::BadArgument as rows;

    fn blob(name: &str) -> Option<BlobReference> {
        Some(BlobReference {
            relative_location: Some(format!("c/{name}.csv")),
            ..BlobReference::default()
        })
    }

    fn named(names: &[&str]) -> Option<Vec<Named>> {
        Some(names.iter().map(|n| ((*n).to_owned(), blob(n))).collect())
    }

    fn of(input: Option<Option<BlobReference>>, inputs: Option<Vec<Named>>) -> JobRequest {
        JobRequest {
            input,
            inputs,
            ..JobRequest::default()
        }
    }

    #[test]
    fn inputs_are_bound_by_name_in_the_order_of_the_service() {
        let request = of(None, named(&["b", "a"]));
        let bound = inputs(&request, &["a", "b"]).unwrap();
        assert_eq!(bound, [("a".into(), blob("a")), ("b".into(), blob("b"))]);
        let alone = of(Some(blob("x")), Some(Vec::new()));
        assert_eq!(inputs(&alone, &["a"]).unwrap(), [("a".into(), blob("x"))]);
        let null = of(Some(None), None);
        assert_eq!(inputs(&null, &["a"]).unwrap(), [("a".into(), None)]);
        let both_known = of(Some(None), named(&["a"]));
        assert_eq!(inputs(&both_known, &["a"]).unwrap().len(), 1);
        assert!(inputs(&of(None, None), &[]).unwrap().is_empty());
    }

    #[test]
    fn each_mistake_about_inputs_has_its_row() {
        let refused = |request: JobRequest, accepted: &[&str]| {
            let fault = inputs(&request, accepted).unwrap_err();
            let args = fault.details()[0].args.clone();
            (fault, args)
        };
        let (fault, _) = refused(of(Some(blob("x")), named(&["a"])), &["a"]);
        assert!(fault.is(&rows::DuplicateInputInBatchCall));
        let (fault, args) = refused(of(None, named(&["a", "x", "y"])), &["a", "b"]);
        assert!(fault.is(&rows::BatchJobInputsTooManySpecified));
        assert_eq!(args, ["a, b"]);
        let (fault, args) = refused(of(None, named(&["A", "x"])), &["a", "b"]);
        assert!(fault.is(&rows::InvalidInputNames));
        assert_eq!(args, ["A, x"]);
        for nothing in [
            of(None, None),
            of(Some(None), None),
            of(Some(blob("x")), None),
        ] {
            let (fault, args) = refused(nothing, &["a", "b"]);
            assert!(fault.is(&rows::BatchJobInputsNotSpecified));
            assert_eq!(args, ["a, b"]);
        }
        let (fault, args) = refused(of(None, named(&["b"])), &["a", "b", "c"]);
        assert!(fault.is(&rows::BatchJobInputsNotSpecified));
        assert_eq!(args, ["a, c"]);
        for given in [of(Some(blob("x")), None), of(None, named(&["a"]))] {
            let (fault, _) = refused(given, &[]);
            assert!(fault.is(&rows::BatchJobInputsTooManySpecified));
        }
    }

    #[test]
    fn outputs_go_where_they_are_told_and_else_into_the_own_store() {
        let request = |outputs, output| JobRequest {
            outputs,
            output,
            ..JobRequest::default()
        };
        let accepted = ["a", "b"];
        let bound = outputs(&request(named(&["b"]), None), &accepted, false);
        assert_eq!(bound.unwrap(), [None, Some(blob("b"))]);
        let null = Some(vec![("a".to_owned(), None)]);
        let bound = outputs(&request(null, None), &accepted, false);
        assert_eq!(bound.unwrap(), [Some(None), None]);
        let bound = outputs(&request(None, Some(blob("x"))), &["a"], false);
        assert_eq!(bound.unwrap(), [Some(blob("x"))]);

        let fault = outputs(&request(named(&["B"]), None), &accepted, false).unwrap_err();
        assert!(fault.is(&rows::InvalidOutputOverrideName));
        assert_eq!(fault.details()[0].args, ["B"]);
        let fault = outputs(&request(named(&["b"]), None), &accepted, true).unwrap_err();
        assert!(fault.is(&rows::MissingRequiredOutputOverrides));
        assert_eq!(fault.details()[0].args, ["a"]);
        assert!(outputs(&request(named(&["a", "b"]), None), &accepted, true).is_ok());
    }

    #[test]
    fn version_1_carries_one_table_each_way() {
        use faults::rows::InvalidOperation;
        assert!(version(ApiVersion::V1, 1, 1, false).is_ok());
        assert!(version(ApiVersion::V2, 3, 3, true).is_ok());
        let fault = version(ApiVersion::V1, 2, 2, false).unwrap_err();
        assert!(fault.is(&InvalidOperation::MultipleInputsNotAllowed));
        for (outputs, models) in [(2, false), (1, true)] {
            let fault = version(ApiVersion::V1, 1, outputs, models).unwrap_err();
            assert!(fault.is(&InvalidOperation::IncompatibleModel));
        }
    }
}
