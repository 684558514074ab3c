//! The contract as one table: classes in contract order, and below each its rows.
//!
//! To add a row: put it in its class's place, with a doc comment of two paragraphs (`What
//! happened:` says when exactly, `What to do:` tells the person who hit it, and the operator where
//! that is someone else, what comes next), its constructor's name, its parameters in wire order,
//! and its English with `{0}`, `{1}`. A parameter is a value or a clause without a full stop at its
//! end. Then add its zh-TW text to `locales/zh-TW.toml` and a provocation to `tests/contract`; run
//! `cargo test -p faults` twice, which writes `docs/errors/` and `docs/errors.json`. The status
//! sits on the class; a row cannot state one.
//!
//! Identity is (class, code): five codes stand under two classes. The macros are in `table.rs`.

use crate::Fault;
pub use crate::table::{Retry, Row};

catalogue! {
    /// What happened: An argument of the request (in its path, query, body or settings) is not
    /// valid, and this was found before any work began. `details` names the rule that it breaks.
    ///
    /// What to do: Correct the argument that `details[0]` names and send the request again. The
    /// same request fails again, so do not retry it unchanged.
    BadArgument = 400, No, "An argument is not valid.", {
        /// What happened: A web service parameter or module parameter has a value of the wrong
        /// scalar type, or one that breaks the rule its definition declares (range, allowed or mode
        /// values, length). Management calls give it too for a `maxConcurrentCalls` below the least
        /// allowed, and for an endpoint name or throttle level that is not allowed.
        ///
        /// What to do: Look the parameter up in the service's Swagger document or in the package:
        /// its type, its range or its list of values. Send a value that fits, or leave the
        /// parameter out where it has a default. `target` names the parameter where there is one.
        BadParameterValue = bad_parameter_value(),
            "A parameter value does not satisfy the rule set on that parameter.";
        /// What happened: The subscription in `/subscriptions/{id}/services/{id}/...` is not the
        /// one that the service belongs to.
        ///
        /// What to do: Copy the scoring URL again from `umpire services` or from the service's
        /// `swaggerLocation`, and change nothing in it. A subscription that was typed or taken from
        /// another service's URL is the usual cause.
        BadSubscriptionId = bad_subscription_id(),
            "The subscription id used for scoring is not the one that owns this resource.";
        /// What happened: The `api-version` of the call is malformed or not one that this operation
        /// accepts, or it is missing where it is required (v2 execute and start, and all Resource
        /// Manager calls; classic and v1 calls send none).
        ///
        /// What to do: Scoring and jobs take `api-version=2.0`. Resource Manager calls take the
        /// dated versions that the API help page lists, such as `2017-01-01`. Add the parameter to
        /// the URL or correct it.
        BadVersionCall = bad_version_call(received),
            "The api-version passed with the call is not valid: {0}. See the API help page for the versions that are accepted.";
        /// What happened: The job leaves out one or more of the inputs that the service defines.
        /// The message names those that are missing.
        ///
        /// What to do: Give each of the named inputs a blob reference under `Inputs` and submit the
        /// job again. The service's Swagger document lists its inputs.
        BatchJobInputsNotSpecified = batch_job_inputs_not_specified(inputs),
            "These required inputs are missing from the request: {0}. Supply every input and try again.";
        /// What happened: The job names more inputs than the service has. The message lists the
        /// inputs that it accepts.
        ///
        /// What to do: Remove from `Inputs` what is not on that list and submit the job again. If
        /// the service used to have more inputs, it was deployed anew: read its Swagger document
        /// again.
        BatchJobInputsTooManySpecified = batch_job_inputs_too_many_specified(accepted),
            "The request supplies more inputs than the service defines. Accepted inputs: {0}.";
        /// What happened: The name of the blob that diagnostics would write is over 1,024
        /// characters, which is more than blob storage takes.
        ///
        /// What to do: Shorten the path that you set for diagnostics; the ids that are added to it
        /// take part of the room. Then send the settings again.
        BlobNameTooLong = blob_name_too_long(path),
            "The blob path for diagnostic output is too long: {0}. Shorten it and try again.";
        /// What happened: An input blob does not exist, or its credentials do not allow reading it.
        /// The second half of the message is what storage really answered.
        ///
        /// What to do: Read what storage reported. "Not found": check account, blob container and
        /// blob name, letter case included. "Forbidden" or an expired signature: give a key or a
        /// SAS token that may read and is still valid. Then submit again.
        BlobNotFound = blob_not_found(blob, reason),
            "The blob {0} cannot be read. Storage reported: {1}.";
        /// What happened: A blob location has an empty blob container segment: there is nothing
        /// before the first `/` of the relative location.
        ///
        /// What to do: Write the location as `container/path/blob`, with or without one leading
        /// `/`.
        ContainerIsEmpty = container_is_empty(),
            "No blob container name was given. Give a valid container name and try again.";
        /// What happened: The blob container segment of a location breaks the naming rules of
        /// storage: 3 to 63 characters, lower case letters, digits and single hyphens between them
        /// (`$root` and `$logs` are allowed).
        ///
        /// What to do: Check the first segment of the relative location. Capital letters,
        /// underscores and a URL pasted whole are the usual mistakes. Correct it and send the
        /// request again.
        ContainerSegmentInvalid = container_segment_invalid(),
            "The blob container name is not valid. Give a valid container name and try again.";
        /// What happened: The blob container that you named for output or diagnostics does not
        /// exist, refuses the credentials, or refuses writing. The message carries what storage
        /// answered.
        ///
        /// What to do: Create the blob container, or give credentials that may write to it, then
        /// send the request again. If the same code comes under the class InternalError, the
        /// installation's own storage is meant and the operator has to act.
        ContainerValidationFailed = container_validation_failed(reason),
            "The blob container could not be validated: {0}.";
        /// What happened: A column type or format in the service's input or output specification,
        /// or in a typed request, is not one that the service supports.
        ///
        /// What to do: Use one of the types Boolean, Integer, Number and String with a format that
        /// goes with it (`int32`, `int64`, `double`, `date-time` and so on), and deploy or send
        /// again. `target` names the column where there is one.
        DataTypeNotSupported = data_type_not_supported(),
            "A data type is not supported. Use supported data types and try again.";
        /// What happened: The body of the job has both `Input` and `Inputs`.
        ///
        /// What to do: Keep one of them: `Inputs`, a map from the input's name to its blob, fits
        /// every service; `Input` only one with a single input. Then submit again.
        DuplicateInputInBatchCall = duplicate_input_in_batch_call(),
            "The batch request is not valid: a single input and multiple inputs cannot both be given. Remove one of them.";
        /// What happened: The `expiry` of the diagnostics settings lies before now.
        ///
        /// What to do: Give a time in the future, in UTC (`2030-01-31T00:00:00Z`), or `null` for
        /// diagnostics that do not end. If the time looks right, it was probably meant in a local
        /// time zone.
        ExpiryTimeInThePast = expiry_time_in_the_past(expiry),
            "The expiry time is in the past: {0}. Give a future time in UTC, or null for no expiry.";
        /// What happened: Diagnostics are switched on (`Error` or `All`) without a storage account
        /// and key to write to, or their level is missing.
        ///
        /// What to do: Send the level together with the storage account's name and key, or set the
        /// level to `None`.
        IncompleteSettings = incomplete_settings(), "The diagnostics settings are incomplete.";
        /// What happened: The relative location of an input names a blob container but no blob in
        /// it.
        ///
        /// What to do: Write the whole location, `container/path/blob.csv`. A folder cannot be an
        /// input: name one blob.
        InputBlobRelativeLocationInvalid = input_blob_relative_location_invalid(),
            "No blob name was given. Give a valid blob name and try again.";
        /// What happened: The parts of a blob reference contradict each other or cannot be parsed:
        /// a malformed base location, a malformed SAS token, a scheme or host that is not allowed,
        /// or a connection string together with a SAS token.
        ///
        /// What to do: Use one form and only that: `ConnectionString` with `RelativeLocation`, or
        /// `BaseLocation` (ends in `/`) with `RelativeLocation` and `SasBlobToken` (starts with
        /// `?`). The operator decides by configuration which schemes and hosts may be reached.
        InvalidBlob = invalid_blob(blob),
            "The specification of blob {0} is not valid. Check the connection string and relative path, or the SAS token.";
        /// What happened: A connection string cannot be parsed, or it lacks the account, the key or
        /// the endpoint. The message says which blob's and what is wrong, never the key.
        ///
        /// What to do: Copy the connection string again from the storage account's page, whole and
        /// unbroken. Its parts are `Name=value`, separated by `;`, and need `AccountName` and
        /// `AccountKey`, or `BlobEndpoint`.
        InvalidBlobConnectionString = invalid_blob_connection_string(problem),
            "The connection string of one of the input or output blobs is not valid: {0}.";
        /// What happened: The file extension of an input or output blob is missing or does not
        /// belong to a format that the port's type supports. The message lists those that do.
        ///
        /// What to do: Give the blob one of the listed extensions. The extension decides how the
        /// content is read or written, so rename the blob only if its content really is of that
        /// format.
        InvalidBlobExtension = invalid_blob_extension(blob, supported),
            "The blob reference {0} has a missing or unsupported file extension. Supported for this type: \"{1}\".";
        /// What happened: The request names inputs that the service does not define, though it does
        /// not give too many of them.
        ///
        /// What to do: Use the names in the service's Swagger document, letter for letter: they are
        /// case sensitive (`input1` is not `Input1`). The message lists the names that are not
        /// known.
        InvalidInputNames = invalid_input_names(names),
            "These service input names are not valid: {0}. Map the data to the service's own inputs.";
        /// What happened: `Outputs` of the job names an output that the service does not define.
        ///
        /// What to do: Use the output's name as the service's Swagger document writes it, in the
        /// same letter case, or leave the override out; the output is then stored in the
        /// workspace's default storage.
        InvalidOutputOverrideName = invalid_output_override_name(name),
            "The output override name {0} is not valid: the service has no such output. Names are case sensitive.";
        /// What happened: A query parameter that this operation knows has a value that it does not
        /// accept, such as `details=maybe`, `format=xml` or a `$skiptoken` that is not ours.
        ///
        /// What to do: The message says which parameter, what is wrong and what is accepted.
        /// Correct the value or drop the parameter. Take a `$skiptoken` only from the `nextLink` of
        /// the page before. Query parameters that are not known are ignored.
        InvalidQueryParameter = invalid_query_parameter(parameter, explanation),
            "The query parameter '{0}' is not valid. {1}";
        /// What happened: The blob reference of an input is null or has none of its parts.
        ///
        /// What to do: Give `ConnectionString` and `RelativeLocation`, or `BaseLocation`,
        /// `RelativeLocation` and `SasBlobToken`. Misspelt members count as absent, so compare the
        /// spelling.
        MissingInputBlobInformation = missing_input_blob_information(),
            "The blob information is missing. Give a connection string and relative path, or a URI.";
        /// What happened: A job operation (status, start, cancel) was called without an id in its
        /// path.
        ///
        /// What to do: Put the id that submitting the job returned, without its quotation marks,
        /// after `/jobs/`. A variable that was empty when the URL was built is the usual cause.
        MissingJobId = missing_job_id(),
            "No job id was given. The id is returned when a job is submitted.";
        /// What happened: `keys` was given on PUT or at publication with one of its two parts
        /// absent or empty. (PATCH may name one alone.)
        ///
        /// What to do: Give both `primary` and `secondary`, or leave `keys` out: two keys are then
        /// made for you. To change one key alone, use PATCH.
        MissingKeys = missing_keys(), "The primary or the secondary key, or both, were not given.";
        /// What happened: A classic publication names neither a model package id nor a model
        /// package.
        ///
        /// What to do: Put the id of a stored model package, or the package itself, in the body and
        /// publish again.
        MissingModelPackage = missing_model_package(),
            "No model package, or model package id, was given.";
        /// What happened: `Outputs` of the job has the output's name, but its blob reference is
        /// null or empty.
        ///
        /// What to do: Give the output a blob location, or remove its name from `Outputs` to have
        /// it stored in the workspace's default storage.
        MissingOutputOverrideSpecification = missing_output_override_specification(output),
            "The output override {0} has no blob specification. Give one, or remove the override.";
        /// What happened: The service has inputs, and the request's `Inputs` is absent, null or
        /// empty.
        ///
        /// What to do: Send `{"Inputs": {"NAME": ...}}` with the names that the service's Swagger
        /// document gives. Check the spelling of `Inputs` itself: members that are not known are
        /// ignored.
        MissingRequestInput = missing_request_input(),
            "The web service expects an input and none was given. Give the inputs that the service publishes.";
        /// What happened: A web service parameter that has no default is absent from
        /// `GlobalParameters`. This was found while the request was validated, before anything ran.
        ///
        /// What to do: Add the parameter. The service's Swagger document lists the parameters and
        /// says which are required; their names are case sensitive.
        MissingRequiredGlobalParameters = missing_required_global_parameters(),
            "Not all required web service parameters were given.";
        /// What happened: The service's workspace has a `keyVaultIdentifierId`, so its data lies
        /// under its owner's key, and the job does not override every output. The message names
        /// those that are missing.
        ///
        /// What to do: Give each of the named outputs a blob location of your own under `Outputs`
        /// and submit again.
        MissingRequiredOutputOverrides = missing_required_output_overrides(outputs),
            "This service is encrypted: every output needs an override. Missing for: {0}.";
        /// What happened: A classic management call lacks the id of the web service (the group of
        /// endpoints) in its path or body.
        ///
        /// What to do: Take the `Id` of the web service from the list of web services (not the id
        /// of one of its endpoints) and put it in the path or body.
        MissingWebServiceGroupId = missing_web_service_group_id(),
            "No web service group id was given.";
        /// What happened: The service id segment of the path is empty, or the id is required in the
        /// body and absent.
        ///
        /// What to do: Copy the URL again from `umpire services`. Two slashes in a row mean that a
        /// variable was empty when the URL was built.
        MissingWebServiceId = missing_web_service_id(), "No web service id was given.";
        /// What happened: A call that creates a web service has no package: there is no graph to
        /// run.
        ///
        /// What to do: Send the definition with `package` (nodes and edges). `umpire deploy
        /// MODEL.onnx --name NAME` makes one from a model.
        MissingWebServicePackage = missing_web_service_package(),
            "No web service package was given.";
        /// What happened: The workspace id segment of the path is empty, or the id is required in
        /// the body and absent.
        ///
        /// What to do: Copy the URL again from `umpire services`. Two slashes in a row mean that a
        /// variable was empty when the URL was built.
        MissingWorkspaceId = missing_workspace_id(), "No workspace id was given.";
        /// What happened: The outputs of a model package lack an output or, where the package has
        /// script nodes, its standard output or standard error output (`OutputType`).
        ///
        /// What to do: Declare at least one output and, for a package with script nodes, the
        /// standard output and standard error outputs; then send the package again.
        ModelConfigurationInvalid = model_configuration_invalid(),
            "The model configuration in the package is not valid: it needs its output endpoints, a standard error endpoint and a standard output endpoint.";
        /// What happened: The model package id is not a GUID (32 hexadecimal digits, with or
        /// without hyphens).
        ///
        /// What to do: Use the id that storing the model package returned. A name does not serve
        /// here.
        ModelPackageIdInvalid = model_package_id_invalid(), "The model package id is not valid.";
        /// What happened: The request has no body (zero bytes) where one is required, or a body
        /// that is not JSON, not of the expected shape, in an unsupported encoding or media type,
        /// nested too deeply, or over a size limit.
        ///
        /// What to do: Send UTF-8 JSON of the shape that the service's Swagger document shows.
        /// Check the JSON for a repeated key, a trailing comma or a part that is cut off. For large
        /// data send fewer rows a call or use a batch job. The operator can raise the limits by
        /// configuration.
        RequestBodyInvalid = request_body_invalid(),
            "The request has no body, or its body cannot be read.";
        /// What happened: The body is JSON and says nothing: `null`, `{}` or `[]` where content is
        /// required.
        ///
        /// What to do: Fill the body before you send it. A variable that was empty when the request
        /// was built is the usual cause.
        RequestIsEmpty = request_is_empty(), "The request is empty. Give a valid request.";
        /// What happened: `GlobalParameters` names a parameter that the service does not define.
        /// This was found while the request was validated, before anything ran.
        ///
        /// What to do: Remove the parameter or correct its spelling; names are case sensitive. The
        /// service's Swagger document lists the parameters. Columns of the data belong under
        /// `Inputs`, not here.
        UnexpectedParameter = unexpected_parameter(),
            "The request has parameters that are not expected. Check the spelling, and pass only the expected ones.";
        /// What happened: A blob service refused a request with a status of its own (4xx other than
        /// 401, 403, 404, 409 and 416) and gave no error code with it.
        ///
        /// What to do: Check the address and credentials of the blob: they may point at something
        /// that is not a blob service. If they are right, give the operator the request id; the log
        /// has what the service answered.
        UnknownError = unknown_error(), "Unknown error.";
        /// What happened: A parameter value that is written in a language of its own (a column
        /// picker, a script, a credential, a parameter range) does not parse. This was found while
        /// the request was validated, before anything ran.
        ///
        /// What to do: The message says what is wrong with the text. Correct it, or leave the
        /// parameter out where it has a default.
        UserParameterInvalid = user_parameter_invalid(explanation), "{0}";
        /// What happened: `maxConcurrentCalls` or the throttle level was set on a kind of service
        /// whose concurrency is fixed: one for batch only, or one in the throttled low tier.
        ///
        /// What to do: Leave the setting out. To choose the concurrency, set the throttle level to
        /// `High` first where the service allows it.
        WebServiceConcurrentRequestRequirementInvalid = web_service_concurrent_request_requirement_invalid(service),
            "The concurrent request requirement of the {0} web service cannot be changed.";
        /// What happened: The service id is not a GUID (32 hexadecimal digits, with or without
        /// hyphens, in any case).
        ///
        /// What to do: Copy the id or the whole URL again from `umpire services`. A service's name
        /// does not serve as its id.
        WebServiceIdInvalid = web_service_id_invalid(),
            "The web service id is not valid: it must be a GUID.";
        /// What happened: `maxConcurrentCalls` is over the limit that this installation is
        /// configured with (200 by default).
        ///
        /// What to do: Ask for no more than the message allows. For more throughput add an
        /// endpoint, or ask the operator to raise the limit.
        WebServiceTooManyConcurrentRequestRequirement = web_service_too_many_concurrent_request_requirement(limit),
            "The concurrent request requirement cannot be more than {0}.";
        /// What happened: `packageType`, or the service type of the classic and group APIs, is not
        /// one that is known. The message lists those that are.
        ///
        /// What to do: Use one of the listed types; a Resource Manager definition takes `Graph`.
        WebServiceTypeInvalid = web_service_type_invalid(valid_types),
            "The web service type is not valid. Valid types: {0}.";
    }
    /// What happened: The data or a parameter that you supplied does not fit the service. This was
    /// found in the container, where the request's data is read and the graph runs.
    ///
    /// What to do: Correct the data that `details` names and send the request again. The same
    /// request fails again.
    BadUserArgument = 400, No, "An argument supplied by the user is not valid.", {
        /// What happened: The columns of the data do not match the schema of the input: some are
        /// missing, extra or duplicated, or a typed file (Parquet, ARFF) declares another type for
        /// one. Each of the first 16 columns at fault has an entry of its own in `details`, with
        /// `input/column` as its `target`.
        ///
        /// What to do: Compare the targets with the columns in the service's Swagger document. Add
        /// what is missing, remove or rename what is extra, and mind letter case and blanks in
        /// names. The order of the columns does not matter.
        InputMismatchError = input_mismatch_error(),
            "The input data does not match the schema of the input port.";
        /// What happened: A row has the wrong number of cells, or a cell cannot be converted to its
        /// column's type, or a cell is missing where the column does not allow it. The message
        /// names the row, the column, the value and the type expected.
        ///
        /// What to do: Correct that cell. Numbers are written with a decimal point and without
        /// thousands separators; a missing value is `null`. If gaps are to be allowed in the
        /// column, deploy the service with the column as nullable.
        InputParseError = input_parse_error(problem),
            "The input could not be parsed. Check the number of columns and the data types. Details: {0}.";
        /// What happened: A parameter that belongs to one mode of a module was left out, and the
        /// mode in force when the graph ran needs it.
        ///
        /// What to do: Look at the mode parameter that you sent (or its default) and add the
        /// parameters of that mode, or choose another mode.
        MissingRequiredGlobalParameters = missing_required_global_parameters(),
            "Parameters that the web service expects are missing.";
        /// What happened: A parameter that belongs to one mode of a module was given, and the mode
        /// in force when the graph ran does not take it.
        ///
        /// What to do: Remove the parameter, or choose the mode that it belongs to.
        UnexpectedParameter = unexpected_parameter(),
            "Only the parameters that the web service expects may be passed.";
        /// What happened: A module rejected a parameter value when it ran, for instance a column
        /// selection that selects nothing or an SQL text that does not parse.
        ///
        /// What to do: The message says what the module found. Correct the value; if it names
        /// columns, check that they exist in the data at that point of the graph.
        UserParameterInvalid = user_parameter_invalid(explanation), "{0}";
    }
    /// What happened: The request is well formed, but it is not valid for the service or job in its
    /// present state.
    ///
    /// What to do: Read the state or the limit that `details[0]` names, bring the service or job
    /// into a fitting state or use another operation. The same request fails again until then.
    InvalidOperation = 400, No, "The request is not valid in the current state.", {
        /// What happened: `start` was called on a job that is not `NotStarted`. The message gives
        /// its state: Queued, Running, Finished, Failed or Cancelled.
        ///
        /// What to do: A job starts once. If it is Queued or Running there is nothing to do but ask
        /// for its status; to run it again, submit a new job.
        CannotStartJob = cannot_start_job(state),
            "The job cannot be started: it is in the {0} state.";
        /// What happened: A v1 call (`/score`, or a batch call without `api-version`) reached a
        /// service with more than one output. Version 1 can carry a single output table only.
        ///
        /// What to do: Call `/execute?api-version=2.0`, or submit the job with `api-version=2.0`;
        /// both carry all outputs. Else deploy a service with one output.
        IncompatibleModel = incompatible_model(),
            "The model is not compatible with the version of the request, which supports only models with a single table as output.";
        /// What happened: A v1 call reached a service with several inputs, or a v2 scoring call
        /// gave a one-input service several. (A v2 job gets `BatchJobInputsTooManySpecified` for
        /// the same mistake.)
        ///
        /// What to do: For a service with several inputs call `/execute?api-version=2.0`. For a
        /// service with one, send one entry under `Inputs`.
        MultipleInputsNotAllowed = multiple_inputs_not_allowed(),
            "The model does not allow multiple inputs.";
    }
    /// What happened: A library under a module failed while the module ran: the inference engine
    /// reported an error, or an R script or package stopped. `details[0]` has the library's error
    /// id and message; its `target` is the node of the graph.
    ///
    /// What to do: Read `details[0]` first: data that the model was not made for is the usual
    /// cause, and then the caller corrects the data. If any data fails, the owner of the service
    /// checks the model or the script of that node and deploys it anew.
    LibraryExecutionError = 400, No, "A library used by a module failed while the module was running.", {
    }
    /// What happened: A built-in module refused the data, or a Python script raised an exception.
    /// `details[0]` has the module's error id and message; its `target` is the node of the graph.
    ///
    /// What to do: Correct the data as `details[0]` says. If a script raised and the data is right,
    /// the owner of the service corrects the script and deploys it anew; standard output and error
    /// of the script are in `umpire logs NAME` and in the diagnostics.
    ModuleExecutionError = 400, No, "A module failed while it was running.", {
    }
    /// What happened: The package of a web service was refused when it was deployed. Nothing was
    /// changed: a service of that name goes on with the revision that it had.
    ///
    /// What to do: Correct the place that `details` names and deploy again.
    WebServicePackageError = 400, No, "The web service package is not valid. Check the package and send it again.", {
        /// What happened: The package is JSON but does not match the package format. The message
        /// says where and what. (A body that is not JSON at all gets `RequestBodyInvalid`.)
        ///
        /// What to do: Correct the named place: a required field that is absent, a value of another
        /// type, a node with no or several of `assetId`, `inputId` and `outputId`. Then deploy
        /// again.
        FormatError = format_error(problem), "The web service package is malformed. Details: {0}";
        /// What happened: The graph asks for something that this installation cannot run: an
        /// unknown Python or R version, an engine that is absent, or a model operator that no
        /// engine here has. The message names it.
        ///
        /// What to do: Export the model with another operator set or exporter option that avoids
        /// the named operator, or choose a supported version. The operator of the installation can
        /// install the engine or interpreter that is named.
        RuntimesError = runtimes_error(runtime),
            "The web service package graph is not valid. Details: {0}";
        /// What happened: The graph does not hold together: a cycle, an unknown node or port, a
        /// required port that nothing is connected to, two writers of one port, a parameter link to
        /// nothing, or ports whose types do not match. The message names the node, port or edge.
        ///
        /// What to do: Correct the graph at that place and deploy again.
        ValidationError = validation_error(problem),
            "The web service package graph is not valid. Details: {0}";
    }
    /// What happened: The request shows no credentials, or none that are valid for this resource.
    ///
    /// What to do: Send `Authorization: Bearer` with a key or token that belongs to exactly this
    /// resource. Do not retry with the same credentials.
    Unauthorized = 401, No, "The request is not authorized to use this resource.", {
        /// What happened: A call of the operators' API came without credentials that are valid for
        /// it: none, unknown ones, expired or revoked ones, or those of a token whose role or scope
        /// does not reach so far.
        ///
        /// What to do: On the server's own machine, run the command with `--data` pointing at its
        /// data directory, where the operator's token is kept. From elsewhere give a token by
        /// `--token` or `UMPIRE_TOKEN`; `umpire token list` shows the operator what each is good for.
        AdminRequestUnauthorized = admin_request_unauthorized(), "Not authorized.";
        /// What happened: A management call came without a token that is valid for what it names: none,
        /// an unknown, expired or revoked one, or one whose role or scope does not reach so far.
        /// Whether there is anything of that name is not said.
        ///
        /// What to do: Give a token of that subscription, workspace or service as
        /// `Authorization: Bearer TOKEN` (in the CLI `--token` or `UMPIRE_TOKEN`); `umpire token list`
        /// shows the operator what each is good for. A scoring key does not serve here, except where
        /// an endpoint's own resources are updated.
        ManagementRequestUnauthorized = management_request_unauthorized(), "Not authorized.";
        /// What happened: A scoring or job call came without one of the service's two keys: none at
        /// all, a wrong one, or one of another endpoint.
        ///
        /// What to do: Send `Authorization: Bearer KEY` with the primary or secondary key that
        /// `umpire keys NAME` shows for this endpoint. Each endpoint has its own keys. If it worked
        /// before, the keys were regenerated.
        ScoreRequestUnauthorized = score_request_unauthorized(), "The credentials are not valid.";
    }
    /// What happened: The address or the id does not name anything that exists here. `details` says
    /// what is missing; it is empty for an unknown path, method, job, operation or named resource.
    ///
    /// What to do: Check the URL and the ids in it. What was deleted does not come back under its
    /// old id.
    NotFound = 404, No, "The resource does not exist.", {
        /// What happened: The model package id is a well-formed GUID, and no such package is
        /// stored.
        ///
        /// What to do: Use the id that storing the package returned, on this server. If the package
        /// was deleted, store it again and use the new id.
        ModelPackageNotFound = model_package_not_found(),
            "The model package does not exist. Check the model package id.";
        /// What happened: The service exists, but in another workspace than the one in the path.
        ///
        /// What to do: Take the scoring URL whole from `umpire services`; workspace and service id
        /// belong together.
        WebServiceIdNotFoundInWorkspace = web_service_id_not_found_in_workspace(),
            "This workspace has no such web service: the service id and the workspace id do not match.";
        /// What happened: The service id is a well-formed GUID, and no service has it.
        ///
        /// What to do: Check the id against `umpire services`, and that you call the right server.
        /// A service that was deleted and deployed again has new ids. In a scoring URL the id is
        /// the endpoint's.
        WebServiceNotFound = web_service_not_found(),
            "The web service does not exist. Check the web service id.";
        /// What happened: No workspace has the id in the path.
        ///
        /// What to do: Check the id against `umpire services`, and that you call the right server.
        WorkspaceNotFound = workspace_not_found(),
            "The workspace does not exist. Check the workspace id.";
    }
    /// What happened: The request ended without an answer: its time was up before a container began
    /// to work on it, or the client went away.
    ///
    /// What to do: Retry with a growing pause; scoring changes nothing, so a second try is safe. If
    /// it happens often, the server is busy or the client's connection is slow.
    RequestTimeout = 408, Maybe, "The operation did not finish within the time allowed.", {
        /// What happened: The client went away or cancelled before there was an answer. The work is
        /// stopped in the container. Nobody is there to read a reply, so the log, the metrics and a
        /// job's status carry this code.
        ///
        /// What to do: If you did not mean to cancel, raise the time limit of your client, or of a
        /// proxy between, above the service's. The operator: many of these together usually mean
        /// that calls take longer than clients wait.
        RequestCanceled = request_canceled(), "The client canceled the request.";
        /// What happened: The call's time limit passed before a container began to run it; a body
        /// that arrives too slowly counts as well.
        ///
        /// What to do: Send the body faster or smaller, and retry with a growing pause. The
        /// operator: look at whether containers are busy (`max_instances`, `calls_per_container`)
        /// and at the limits for bodies and scoring in `umpire config`.
        ScoreRequestTimeout = score_request_timeout(), "The execution of the request timed out.";
    }
    /// What happened: The request clashes with what is there: the name is taken, the service is
    /// read-only, another write came first, or the outputs clash (then `details` says so).
    ///
    /// What to do: Read the present state, decide again and send the request anew. A read-only
    /// service can only be deleted.
    Conflict = 409, No, "The resource already exists.", {
        /// What happened: The columns that the graph produces clash with the declared output: names
        /// occur twice, or names or number do not match. It is found when the service is deployed
        /// where it can be, else at the call.
        ///
        /// What to do: The owner of the service gives the columns distinct names (with Edit
        /// Metadata) or corrects the declared output, and deploys again. A caller can do nothing
        /// about it, unless columns of the input are passed through and clash.
        ModelOutputMetadataMismatch = model_output_metadata_mismatch(),
            "An output column name is not valid. Rename the columns (Edit Metadata) and try again.";
    }
    /// What happened: The service's container needed more memory than its quota allows.
    ///
    /// What to do: Send fewer rows a call. If small requests fail too, the owner of the service
    /// asks for a larger quota or makes the model smaller.
    MemoryQuotaViolation = 413, No, "The model went over the memory quota assigned to it.", {
        /// What happened: The container went over its memory quota, which the message gives in MB,
        /// and was stopped. The call gets this code, and the next call gets a fresh container.
        ///
        /// What to do: Send fewer rows a call, or use a batch job, which works in pieces. If one
        /// row is enough to fail, the model needs more than its quota: the operator raises the
        /// quota, or the owner deploys a smaller model. Do not retry the same request at once: it
        /// stops the fresh container too.
        OutOfMemoryLimit = out_of_memory_limit(quota_mb),
            "The model used more memory than its quota. The most it may use is {0} MB. Check the model.";
    }
    /// What happened: Something failed inside the installation, through no fault of the request.
    /// `details` says which part; the cause is in the server's log and never in the reply.
    ///
    /// What to do: Retry once or twice with a pause. If it stays, give the operator the value of
    /// `x-ms-request-id`. The operator finds the cause in the log by that id.
    InternalError = 500, Maybe, "An internal error occurred during execution.", {
        /// What happened: The store of admin credentials could not be read, so it could not be
        /// decided who is calling. The call was refused: authentication fails closed, never open.
        ///
        /// What to do: The operator puts the file `secrets/operator.token` of the data directory back,
        /// or a new one in its place, readable by the user that the server runs as; the log says what
        /// is wrong with it. The caller can retry afterwards.
        AdminAuthenticationFailed = admin_authentication_failed(),
            "Admin credentials could not be checked.";
        /// What happened: A container was asked for a revision or an operation that it does not
        /// hold.
        ///
        /// What to do: Retry: another container may hold it. The operator, if it repeats: deploy
        /// the service again so that its containers start afresh, check that `containers.command`
        /// starts this release's binary, and report it with the log lines of the request id.
        BackendArgumentError = backend_argument_error(),
            "The container refused the arguments of the call.";
        /// What happened: A container and the gateway could not read each other's messages: their
        /// versions differ, or the framing was broken.
        ///
        /// What to do: The operator checks that `containers.command` (if set) starts the same
        /// release as the server and that no wrapper writes to the channel, then restarts the
        /// server. The caller can only retry later.
        BackendBadRequest = backend_bad_request(), "The container could not read the call.";
        /// What happened: The configuration document in shared storage exists, but it cannot be
        /// parsed or does not validate.
        ///
        /// What to do: The operator corrects the document at the place that the log names, or puts
        /// the former version back. Servers go on with the last valid configuration that they read,
        /// if there was one.
        ClusterConfigBlobMisconfigured = cluster_config_blob_misconfigured(),
            "The cluster configuration document is not valid.";
        /// What happened: The service's container died by a signal that the host did not send and
        /// that is not a quota kill (a crash in native code, for instance, or a signal from
        /// outside). Calls that it had begun get this code.
        ///
        /// What to do: Retry once: the next call gets a fresh container. If the same request
        /// crashes it again, keep the request. The operator looks up the signal in the log and the
        /// system's log, and reports it together with the model.
        ContainerProcessTerminatedWithSystemError = container_process_terminated_with_system_error(),
            "The container process crashed with a system error.";
        /// What happened: The service's container exited on its own with a status that it is not
        /// known to use. Calls that it had begun get this code.
        ///
        /// What to do: Retry once: the next call gets a fresh container. The operator finds the
        /// exit status and the container's last output in the log; a wrapper or sandbox in
        /// `containers.command` that fails is the usual cause.
        ContainerProcessTerminatedWithUnknownError = container_process_terminated_with_unknown_error(),
            "The container process crashed with an unknown error.";
        /// What happened: The installation's own blob container (its default storage) does not
        /// exist, refuses the credentials or refuses writing. The message carries what storage
        /// answered.
        ///
        /// What to do: The operator checks address, credentials and rights of the blob store in the
        /// configuration, or the rights and free space of the blob folder. The caller can name an
        /// output location of their own, or retry when that is done.
        ContainerValidationFailed = container_validation_failed(reason),
            "The blob container could not be validated: {0}.";
        /// What happened: Deleting the stored blobs or records of a service failed part way. Part
        /// of the service may still be there; nothing else was touched.
        ///
        /// What to do: Repeat the deletion: it goes on where it stopped. The operator, if it fails
        /// again: the log names the file or table; check the rights and free space of the data
        /// directory.
        DeleteWebServiceResourceFailed = delete_web_service_resource_failed(),
            "The resources of the web service could not be deleted.";
        /// What happened: The process of a script module reported an exception that could not be
        /// decoded.
        ///
        /// What to do: The owner of the service looks at the script's standard error in `umpire
        /// logs NAME`, where the exception usually stands in full. The operator checks that the
        /// script's interpreter is of a supported version and not replaced by a wrapper that writes
        /// to the channel.
        ExceptionDeserializationError = exception_deserialization_error(),
            "The error reported by a module could not be read.";
        /// What happened: The stored definition behind an API document (Swagger, API help) could
        /// not be read. Scoring may still work.
        ///
        /// What to do: Retry. The operator, if it repeats: the log names the record or blob that
        /// cannot be read; restore it from a backup or deploy the service again.
        FailedGettingApiDocument = failed_getting_api_document(),
            "The API document of the web service could not be read.";
        /// What happened: Writing a service to the state store failed, because the disk is full or
        /// the database is down, for instance. Nothing half-written stays, and a service that was
        /// there goes on as it was.
        ///
        /// What to do: Deploy again once the operator has made room on the data directory's disk or
        /// brought the store back; the log says which it is.
        FailedStoringWebService = failed_storing_web_service(),
            "The web service could not be stored.";
        /// What happened: A configured memory quota cannot be parsed or is below what a container
        /// needs. The message shows the value.
        ///
        /// What to do: The operator corrects the value in the configuration (`umpire config` shows
        /// each value's origin) and restarts the server. The caller can do nothing.
        InvalidMemoryConfiguration = invalid_memory_configuration(value),
            "The memory configuration is not valid. Value: {0}";
        /// What happened: The cache directory or its size limit is not usable.
        ///
        /// What to do: The operator gives a directory that the server can create and write, and a
        /// size that can be parsed and holds at least one resource; the log names the value. Then
        /// restart the server.
        InvalidResourceCacheConfiguration = invalid_resource_cache_configuration(),
            "The resource cache configuration is not valid.";
        /// What happened: A time limit, retry count or size limit for downloads is not usable.
        ///
        /// What to do: The operator corrects the value that the log names (`umpire config` shows
        /// its origin) and restarts the server.
        InvalidResourceDownloadConfiguration = invalid_resource_download_configuration(),
            "The resource download configuration is not valid.";
        /// What happened: The stored list of a service's resources does not match what its package
        /// asks for.
        ///
        /// What to do: The owner of the service deploys it again with all of its resources, or goes
        /// back with `umpire rollback NAME`. The operator, if nobody changed the store by hand:
        /// report it with the log.
        InvalidWebServiceResources = invalid_web_service_resources(),
            "The resources of the web service are not valid.";
        /// What happened: The stored arguments of a queued batch task were gone or empty when it
        /// was picked up. The job fails with this code.
        ///
        /// What to do: Submit the job again. The operator, if it repeats: check that nothing else
        /// deletes from the data directory or the ledger, and restore from a backup where records
        /// are missing.
        MissingTaskInstance = missing_task_instance(), "The task has no arguments.";
        /// What happened: A stored model or package failed its checksum, or could not be opened,
        /// when a container loaded it. It was whole when it was deployed.
        ///
        /// What to do: The owner of the service deploys it again, or goes back with `umpire
        /// rollback NAME`. The operator checks the disk: stored blobs never change by themselves.
        ModelPackageInvalid = model_package_invalid(), "The stored model package is not valid.";
        /// What happened: A built-in module failed for a reason that is not the data or the
        /// parameters: a panic that was caught, an invariant that was broken, or scratch space that
        /// failed.
        ///
        /// What to do: Retry once. The operator checks the free space of the scratch directory;
        /// with enough of it this is a defect of the module: report it with the log and, if you
        /// may, the request.
        ModuleExecutionFailed = module_execution_failed(),
            "A module failed for an internal reason.";
        /// What happened: The implementation behind a module could not be loaded: the interpreter
        /// or the engine's library is missing or does not start.
        ///
        /// What to do: The operator installs or repairs the interpreter or library that the log
        /// names, for the user and inside the sandbox that containers run with. Callers can only
        /// wait.
        ModuleLoadFailed = module_load_failed(), "A module could not be loaded.";
        /// What happened: A fresh instance of a module (a forked interpreter, a session) could not
        /// be made for a call.
        ///
        /// What to do: Retry after a pause. The operator, if it repeats: the log has the system's
        /// reason, usually too few processes, descriptors or bytes within the container's limits.
        ModuleObjectCloneFailed = module_object_clone_failed(),
            "A module could not be prepared for the call.";
        /// What happened: A module's output could not be converted to the type of its port or to
        /// the format of the reply (an object column with nested values, for instance, or text that
        /// is not UTF-8).
        ///
        /// What to do: The owner of the service makes the script or module return a plain table of
        /// numbers, text, booleans and times, and deploys again. A caller can do nothing about it.
        OutputConversionFailed = output_conversion_failed(), "An output could not be converted.";
        /// What happened: A port of a stored package has a data type that this runtime does not
        /// know. (At deploy the same fault is `BadArgument.DataTypeNotSupported`.)
        ///
        /// What to do: The package was stored by another release or changed in the store. The owner
        /// deploys it again with a supported type; the operator, after going back to an older
        /// release, goes forward again.
        PortDataTypeNotSupported = port_data_type_not_supported(port, data_type),
            "Port {0} has a data type that is not supported: {1}.";
        /// What happened: Fetching an asset from its location failed, after its retries.
        ///
        /// What to do: The owner of the service checks that the location still exists and that its
        /// credentials are valid, then deploys again. The operator checks the network and the
        /// allowed hosts; the log has what the other side answered.
        ResourceDownload = resource_download(), "A resource could not be downloaded.";
        /// What happened: An asset other than a model (a transform, a data set, a script bundle)
        /// was fetched but cannot be read as what it should be.
        ///
        /// What to do: The owner of the service checks the file that the log names, in its declared
        /// format, and deploys it again.
        ResourceLoadFailed = resource_load_failed(), "A resource could not be loaded.";
        /// What happened: Every node that could serve the service is drained or gone.
        ///
        /// What to do: Retry later. The operator brings a node back or ends its drain, and looks at
        /// why none was left.
        ServiceUrisNotFound = service_uris_not_found(), "No address is known for the web service.";
        /// What happened: The service's specification cannot be expressed as a valid Swagger
        /// document: names of definitions clash, or an example does not match its schema. The
        /// message says which. Scoring still works.
        ///
        /// What to do: The owner of the service renames the inputs or outputs that clash, or
        /// corrects the example, and deploys again.
        SwaggerGeneration = swagger_generation(problem),
            "The Swagger document could not be generated. Details: {0}";
        /// What happened: A container answered a call with a status that the gateway does not know.
        ///
        /// What to do: Retry: the call may reach another container. The operator checks that
        /// `containers.command` starts the same release as the server; if it does, report it with
        /// the log.
        UnexpectedScoreStatus = unexpected_score_status(),
            "The container answered with an unexpected status.";
        /// What happened: A container answered with an error whose code is not in this catalogue.
        ///
        /// What to do: Retry: the call may reach another container. The operator checks that
        /// `containers.command` starts the same release as the server; the log has the code that
        /// came.
        UnknownBackendErrorResponse = unknown_backend_error_response(),
            "The container answered with an unknown error.";
        /// What happened: Something happened that nobody foresaw: a panic that was caught while the
        /// request was handled, or the ledger failing on a read that no other row covers. It is
        /// counted as a defect to look into.
        ///
        /// What to do: Retry once, then give the operator the value of `x-ms-request-id`. The
        /// operator finds the cause in the log by that id, checks disk and database where it names
        /// them, and reports it as a defect otherwise.
        UnknownError = unknown_error(), "Unknown error.";
        /// What happened: A stored job carries a status that the state machine does not know.
        ///
        /// What to do: The operator checks whether the data directory was used by a newer release
        /// or changed by hand, and restores it or goes back to that release. The caller submits the
        /// job again.
        UnknownJobStatusCode = unknown_job_status_code(status_code),
            "The job status code {0} is not known.";
        /// What happened: A module ended with a failure and no message, such as a script that exits
        /// without one.
        ///
        /// What to do: The owner of the service makes the script raise an exception with a message
        /// where it gives up, and looks at its output in `umpire logs NAME`. The operator looks
        /// there for how its process ended.
        UnknownModuleError = unknown_module_error(), "A module failed and did not say why.";
        /// What happened: Storing an updated resource (a retrained model) failed. The service goes
        /// on with the one that it had.
        ///
        /// What to do: Send the update again once the operator has found the reason in the log: the
        /// disk that is full, or the store that does not answer.
        UpdateWebServiceResourceFailed = update_web_service_resource_failed(),
            "The resources of the web service could not be updated.";
        /// What happened: A classic endpoint belongs to a group whose record is gone, or the group
        /// id in the call is not known.
        ///
        /// What to do: Check the group id against the list of web services. The operator, if an
        /// endpoint is listed whose group is not: restore the ledger from a backup, or delete the
        /// endpoint and deploy again.
        WebServiceGroupNotFound = web_service_group_not_found(),
            "The web service group does not exist.";
        /// What happened: A stored package could no longer be decoded when a container loaded it.
        /// It was valid when it was deployed. The message says what is wrong.
        ///
        /// What to do: The owner of the service deploys it again, or goes back with `umpire
        /// rollback NAME`. The operator checks the disk, and whether the package was stored by a
        /// newer release.
        WebServicePackageInvalid = web_service_package_invalid(problem),
            "The stored web service package is not valid. Details: {0}";
        /// What happened: A container or node rejected the token with which it was called.
        ///
        /// What to do: Retry. The operator, if it repeats: a process that does not belong to this
        /// server answers on its channel; check `containers.command` and, with several nodes, that
        /// all share one secret.
        WorkerAuthorizationFailed = worker_authorization_failed(),
            "The worker refused the credentials of the gateway.";
        /// What happened: A container's channel was closed or silent while its process lived
        /// (heartbeats were missed), or a node did not answer, and no other could take the call.
        ///
        /// What to do: Retry after a pause; a successor is being started. The operator looks for a
        /// machine that is overloaded, swaps or was suspended, or a wrapper in `containers.command`
        /// that closes the channel.
        WorkerUnreachable = worker_unreachable(), "The worker could not be reached.";
    }
    /// What happened: The machine itself is short of memory, not the quota of one model: the
    /// installation's budget of buffered bytes is spent, free memory is under `min_free_memory`, or
    /// the system refused to start a process.
    ///
    /// What to do: Retry after the pause that `Retry-After` gives, and send large requests one
    /// after another. The operator gives the machine more memory, runs fewer or smaller containers,
    /// or lowers what may be buffered.
    InternalErrorSystemLowOnMemory = 500, AfterDelay, "An internal error occurred during execution: the system is low on memory. Try again.", {
    }
    /// What happened: A model file is not a readable model of its declared format. This is found
    /// when it is deployed, or when a container loads it.
    ///
    /// What to do: The owner of the service checks that the file is whole and of the format that
    /// its name says (a file that was cut short, or a pointer file of Git LFS, is not a model),
    /// exports it again and deploys it. A caller can do nothing about it.
    ModelPackageFormatError = 500, No, "The model package is not valid. Check the package and send it again.", {
    }
    /// What happened: The package cannot be used because of something in this installation, not in
    /// the package.
    ///
    /// What to do: The operator corrects what `details` names; then deploy the same package again.
    WebServicePackageInternalError = 500, No, "The web service package is not valid. Check the package and send it again.", {
        /// What happened: The package names a module whose description in this installation is at
        /// fault, be it built in or one of the operator's `modules.d/*.json`, which add ids and
        /// aliases. The message says which module.
        ///
        /// What to do: The operator corrects or removes the description of that module in
        /// `modules.d` and restarts the server; if it is a built-in one, report it as a defect.
        /// Then deploy the package again, unchanged.
        ModuleError = module_error(module),
            "The web service package graph is not valid. Details: {0}";
    }
    /// What happened: The service's container was still loading when `start_wait` passed. It goes
    /// on loading. The answer has `Retry-After`.
    ///
    /// What to do: Retry after the pause that `Retry-After` gives. To spare callers the wait, the
    /// operator keeps a container warm (`min_instances`) or raises `start_wait`.
    InitializingContainers = 503, AfterDelay, "The request cannot run yet: the containers are still starting.", {
    }
    /// What happened: The service cannot take the call just now. `details` says which limit was
    /// reached.
    ///
    /// What to do: Retry after the pause that `Retry-After` gives, with a growing pause if it goes
    /// on.
    ServiceUnavailable = 503, AfterDelay, "The service is temporarily unavailable.", {
        /// What happened: The call needed a further container, and `start_wait` passed with every
        /// slot of the installation taken by others.
        ///
        /// What to do: Retry after the pause that `Retry-After` gives. The operator, if it happens
        /// often: raise the number of slots, lower `max_instances` of services that take too many,
        /// or add memory and processors.
        NoMoreResources = no_more_resources(), "There are no resources left for the request.";
        /// What happened: As many calls as the endpoint's `maxConcurrentCalls` allows were under
        /// way. Calls over the limit are refused at once, without a queue. The answer has
        /// `Retry-After`.
        ///
        /// What to do: Keep no more calls in flight than the message says, send more rows a call,
        /// and retry after the pause that `Retry-After` gives. The owner of the service can raise
        /// `maxConcurrentCalls` (at most 200 by default) or add an endpoint.
        RequestThrottled = request_throttled(endpoint, limit),
            "The request was throttled for the {0} endpoint, whose maximum concurrency is {1}.";
        /// What happened: The installation's own limit of calls under way, all endpoints together,
        /// was reached.
        ///
        /// What to do: Retry after the pause that `Retry-After` gives, with a growing pause if it
        /// goes on. The operator can raise the limit if the machine has room.
        TooManyConcurrentRequests = too_many_concurrent_requests(),
            "Too many concurrent requests were sent.";
        /// What happened: The call needed a further container, and `start_wait` passed while the
        /// installation was at its limit of containers that start at once.
        ///
        /// What to do: Retry after the pause that `Retry-After` gives; starts follow one after
        /// another. The operator can raise the limit, or keep containers warm (`min_instances`).
        TooManyHostsBeingInitialized = too_many_hosts_being_initialized(),
            "Too many hosts are being initialized at the same time. Throttle or retry.";
        /// What happened: The call needed a further container, and `start_wait` passed while this
        /// service was at its limit of containers that start at once.
        ///
        /// What to do: Retry after the pause that `Retry-After` gives, and let the load grow more
        /// slowly. The owner of the service can keep more containers warm (`min_instances`); the
        /// operator can raise the limit.
        TooManyHostsBeingInitializedPerModel = too_many_hosts_being_initialized_per_model(),
            "Too many hosts are being initialized at the same time. Throttle or retry.";
    }
    /// What happened: A container had begun (to load or to run) and did not finish within the time
    /// allowed.
    ///
    /// What to do: Retry with a growing pause and with less work a call. `details` says whether
    /// loading or running was too slow.
    GatewayTimeout = 504, Maybe, "The operation did not finish within the time allowed.", {
        /// What happened: A container did not finish loading its package within `start_limit`. All
        /// who waited for it get this code.
        ///
        /// What to do: Retry later once. The operator, if it repeats: the model is too large or the
        /// disk too slow for the limit; raise `start_limit`, or have the owner deploy a smaller
        /// model.
        BackendInitializationTimeout = backend_initialization_timeout(),
            "The web service did not initialize within the time allowed.";
        /// What happened: The call's time limit passed after a container had begun to run it. The
        /// work is stopped.
        ///
        /// What to do: Send fewer rows a call, or use a batch job. The owner of the service can
        /// make the model or script faster; the operator can raise the time limit for scoring.
        BackendScoreTimeout = backend_score_timeout(),
            "The web service did not execute the request within the time allowed.";
    }
}

impl Class {
    /// The class of that name, letter for letter.
    pub fn from_name(name: &str) -> Option<Class> {
        Class::ALL.iter().copied().find(|c| c.name() == name)
    }

    /// The row of that code in this class, [`crate::extensions`] included.
    pub fn row(self, code: &str) -> Option<&'static Row> {
        self.rows()
            .iter()
            .copied()
            .chain(self.extensions())
            .find(|r| r.code == code)
    }

    /// The rows of this class outside the contract's count.
    pub fn extensions(self) -> impl Iterator<Item = &'static Row> {
        crate::extensions::ALL
            .iter()
            .copied()
            .filter(move |r| r.class == self)
    }
}

/// All rows of the contract, in its order ([`crate::extensions`] not among them).
pub fn all_rows() -> impl Iterator<Item = &'static Row> {
    Class::ALL.iter().flat_map(|c| c.rows().iter().copied())
}

/// The 115 names that a test must provoke, in contract order: every row as `Class.Code`, and every
/// class without rows as `Class`.
pub fn provocation_names() -> Vec<String> {
    Class::ALL
        .iter()
        .flat_map(|class| match class.rows() {
            [] => vec![class.name().to_owned()],
            rows => rows.iter().map(|row| row.name()).collect(),
        })
        .collect()
}
