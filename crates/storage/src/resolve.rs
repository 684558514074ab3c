//! From a reference to a location: all that can be known without asking storage.

use faults::{Fault, bad_argument};
use outbound::{Connection, Credentials};
use store::Id;

use crate::location::Place;
use crate::names::{extensions_wanted, split_location, wrong_with_blob};
use crate::own;
use crate::reference::{base_is_good, part, signature_is_good};
use crate::remote::{AzureBlob, WebPage};
use crate::text::decoded;
use crate::{BlobReference, Joined, Location, Purpose, Storage};

impl Storage {
    /// Checks a reference and says where it leads. Nobody is asked.
    ///
    /// # Errors
    /// In this order: all parts blank: `BadArgument.MissingInputBlobInformation`, of an output
    /// `BadArgument.MissingOutputOverrideSpecification`;
    /// `BadArgument.InvalidBlobConnectionString`; `BadArgument.InvalidBlob` for forms that
    /// contradict each other, for a base or signature that is none, and for a scheme, host or
    /// place that is not allowed; `BadArgument.InputBlobRelativeLocationInvalid` without a
    /// relative location; `BadArgument.ContainerIsEmpty`; `BadArgument.ContainerSegmentInvalid`;
    /// `BadArgument.InputBlobRelativeLocationInvalid` without a blob (of what is written it is
    /// `BadArgument.InvalidBlob` both times, the other row speaks of inputs);
    /// `BadArgument.InvalidBlob` for a name that storage cannot keep;
    /// `BadArgument.InvalidBlobExtension`.
    pub fn resolve(
        &self,
        reference: &BlobReference,
        workspace: Id,
        purpose: Purpose<'_>,
    ) -> Result<Location, Fault> {
        let given = Given {
            storage: self,
            shown: reference.shown(),
            workspace,
            purpose,
        };
        let place = given.place(reference);
        let fault = |fault: Fault| match purpose.target() {
            Some(target) => fault.at(target),
            None => fault,
        };
        Ok(Location {
            place: place.map_err(fault)?,
        })
    }

    /// A place in the workspace's own blob containers, for an output that was given none.
    /// `path` is container and blob, of our own making.
    pub fn default_output(&self, workspace: Id, path: &str) -> Location {
        let path = path.trim_start_matches('/');
        let (container, blob) = path.split_once('/').unwrap_or((path, ""));
        Location {
            place: Place::Own {
                workspace,
                container: container.to_owned(),
                blob: blob.to_owned(),
            },
        }
    }
}

/// A reference under examination.
struct Given<'a> {
    storage: &'a Storage,
    shown: String,
    workspace: Id,
    purpose: Purpose<'a>,
}

impl Given<'_> {
    fn place(&self, reference: &BlobReference) -> Result<Place, Fault> {
        let connection = part(&reference.connection_string);
        let base = part(&reference.base_location);
        let relative = part(&reference.relative_location);
        let signature = part(&reference.sas_blob_token);
        match (connection, base, relative, signature) {
            (None, None, None, None) => Err(self.missing()),
            (Some(text), ..) => {
                let connection = Connection::parse(text).map_err(|e| self.unconnected(e))?;
                if !base_is_good(&connection.endpoint) {
                    return Err(self.unconnected("its blob endpoint is no http or https URL"));
                }
                if base.is_some() || signature.is_some() {
                    return Err(
                        self.invalid("it has a connection string and a base or a signature")
                    );
                }
                self.in_account(connection, relative)
            }
            (None, Some(base), ..) => self.by_base(base, relative, signature.unwrap_or_default()),
            (None, None, _, Some(_)) => Err(self.invalid("it has a signature and no base")),
            (None, None, Some(relative), None) => match relative.split_once("://") {
                Some((scheme, rest)) => self.by_url(&scheme.to_ascii_lowercase(), rest),
                None => {
                    let (container, blob) = self.blob_of(relative)?;
                    Ok(Place::Own {
                        workspace: self.workspace,
                        container: container.to_owned(),
                        blob: blob.to_owned(),
                    })
                }
            },
        }
    }

    /// A connection string and a relative location.
    fn in_account(&self, connection: Connection, relative: Option<&str>) -> Result<Place, Fault> {
        if let Credentials::Signature(signature) = &connection.credentials
            && !signature_is_good(signature)
        {
            return Err(self.unconnected("its shared access signature is no query"));
        }
        if let (Credentials::Signature(signature), Some(name)) = (&connection.credentials, relative)
            && let Some(own) = self.own(&connection.endpoint, name, signature)?
        {
            return Ok(own);
        }
        self.allowed(&connection.endpoint)?;
        let relative = relative.ok_or_else(|| self.no_blob("it has no relative location"))?;
        let (container, blob) = self.blob_of(relative)?;
        Ok(Place::Azure(AzureBlob {
            endpoint: connection.endpoint,
            credentials: connection.credentials,
            container: container.to_owned(),
            blob: blob.to_owned(),
            given: None,
        }))
    }

    /// A base, a relative location, and a signature: the three joined are the blob's URL.
    fn by_base(&self, base: &str, relative: Option<&str>, signature: &str) -> Result<Place, Fault> {
        if !base_is_good(base) {
            return Err(self.invalid("the base is no http or https URL of a host"));
        }
        if !signature_is_good(signature) {
            return Err(self.invalid("the signature is no query"));
        }
        if let Some(name) = relative.and_then(decoded)
            && let Some(own) = self.own(base, &name, signature)?
        {
            return Ok(own);
        }
        self.allowed(base)?;
        let relative = relative.ok_or_else(|| self.no_blob("it has no relative location"))?;
        if relative.contains(['?', '#']) {
            return Err(self.invalid("the relative location is no path"));
        }
        let endpoint = base.trim_end_matches('/');
        let token = signature.trim_start_matches('?');
        // A part of a URL: what may not stand in one is percent-encoded.
        let name =
            decoded(relative).ok_or_else(|| self.invalid("the relative location is no UTF-8"))?;
        let (container, blob) = self.blob_of(&name)?;
        let given = Joined {
            base_location: format!("{endpoint}/"),
            relative_location: relative.trim_start_matches('/').to_owned(),
            sas_blob_token: match token {
                "" => String::new(),
                token => format!("?{token}"),
            },
        };
        if !is_azure_signature(token) {
            return Ok(Place::Web(WebPage { name, given }));
        }
        Ok(Place::Azure(AzureBlob {
            endpoint: endpoint.to_owned(),
            credentials: Credentials::Signature(token.to_owned()),
            container: container.to_owned(),
            blob: blob.to_owned(),
            given: Some(given),
        }))
    }

    /// The workspace's own blob that a signed URL of this installation leads to; `None` for another
    /// URL. It is not fetched: the blob is here.
    fn own(&self, base: &str, name: &str, signature: &str) -> Result<Option<Place>, Fault> {
        let store = &self.storage.0.load().store;
        let Some(at) = own::of_signed_url(store, base, name, signature) else {
            return Ok(None);
        };
        if at.workspace() != self.workspace {
            return Err(self.invalid("it is a blob of another workspace"));
        }
        self.good_blob(at.name())?;
        Ok(Some(Place::Own {
            workspace: at.workspace(),
            container: at.container().to_owned(),
            blob: at.name().to_owned(),
        }))
    }

    /// A relative location that is a whole URL.
    fn by_url(&self, scheme: &str, rest: &str) -> Result<Place, Fault> {
        match scheme {
            "http" | "https" => return self.by_web_url(scheme, rest),
            "s3" | "gs" | "az" | "file" => {}
            _ => return Err(self.invalid("the scheme is not known")),
        }
        if rest.split('/').any(|part| matches!(part, "." | ".."))
            || !self
                .storage
                .0
                .load()
                .options
                .may_name(&format!("{scheme}://{rest}"))
        {
            return Err(self.invalid("batch.storage.roots does not list the place"));
        }
        if scheme == "file" {
            self.good_blob(rest.trim_start_matches('/'))?;
            let path = rest.to_owned();
            return Ok(Place::File { path });
        }
        let (first, name) = rest.split_once('/').unwrap_or((rest, ""));
        if scheme == "az" {
            let (container, blob) = self.blob_of(name)?;
            let connection = self.account(first)?;
            self.allowed(&connection.endpoint)?;
            return Ok(Place::Azure(AzureBlob {
                endpoint: connection.endpoint,
                credentials: connection.credentials,
                container: container.to_owned(),
                blob: blob.to_owned(),
                given: None,
            }));
        }
        if !is_bucket(first) {
            return Err(bad_argument::container_segment_invalid());
        }
        self.good_blob(name)?;
        let (bucket, key) = (first.to_owned(), name.to_owned());
        Ok(match scheme {
            "s3" => Place::S3 { bucket, key },
            _ => Place::Gcs { bucket, key },
        })
    }

    fn by_web_url(&self, scheme: &str, rest: &str) -> Result<Place, Fault> {
        let (rest, signature) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let base = format!("{scheme}://{host}/");
        if is_azure_signature(signature) {
            return self.by_base(&base, Some(path).filter(|p| !p.is_empty()), signature);
        }
        if !base_is_good(&base) || !signature_is_good(signature) || path.contains('#') {
            return Err(self.invalid("it is no URL of a host and a path"));
        }
        self.allowed(&base)?;
        let name = decoded(path).ok_or_else(|| self.invalid("the path is no UTF-8"))?;
        self.good_blob(&name)?;
        let given = Joined {
            base_location: base,
            relative_location: path.to_owned(),
            sas_blob_token: match signature {
                "" => String::new(),
                query => format!("?{query}"),
            },
        };
        Ok(Place::Web(WebPage { name, given }))
    }

    /// The account that this installation has credentials for.
    fn account(&self, name: &str) -> Result<Connection, Fault> {
        let inner = self.storage.0.load();
        let options = &inner.options;
        let of = |name: &str| options.credential(name);
        let connection = match of("AZURE_STORAGE_CONNECTION_STRING") {
            Some(text) => Connection::parse(text),
            None => {
                let own = of("AZURE_STORAGE_ACCOUNT").or(of("AZURE_STORAGE_ACCOUNT_NAME"));
                let key = of("AZURE_STORAGE_KEY").or(of("AZURE_STORAGE_ACCOUNT_KEY"));
                match (own, key, of("AZURE_STORAGE_SAS_TOKEN")) {
                    (Some(own), Some(key), _) => {
                        Connection::parse(&format!("AccountName={own};AccountKey={key}"))
                    }
                    (Some(own), None, Some(token)) => Connection::parse(&format!(
                        "AccountName={own};SharedAccessSignature={token}"
                    )),
                    _ => Err("there are no credentials"),
                }
            }
        };
        connection
            .ok()
            .filter(|c| c.account.as_deref() == Some(name) && base_is_good(&c.endpoint))
            .ok_or_else(|| self.invalid("this installation has no credentials for the account"))
    }

    /// Blob container and blob of a relative location.
    fn blob_of<'t>(&self, relative: &'t str) -> Result<(&'t str, &'t str), Fault> {
        let (container, blob) = split_location(relative)?;
        self.good_blob(blob)?;
        Ok((container, blob))
    }

    fn good_blob(&self, blob: &str) -> Result<(), Fault> {
        if blob.is_empty() || blob.ends_with('/') {
            return Err(self.no_blob("it names no blob"));
        }
        if let Some(problem) = wrong_with_blob(blob) {
            return Err(self.invalid(problem));
        }
        match extensions_wanted(blob, self.purpose) {
            Some(wanted) => Err(bad_argument::invalid_blob_extension(self.name(), wanted)),
            None => Ok(()),
        }
    }

    fn allowed(&self, url: &str) -> Result<(), Fault> {
        let checked = self
            .storage
            .0
            .load()
            .outbound
            .check(&outbound::Source::new(url));
        checked.map_err(|failure| self.invalid(&failure.text))
    }

    /// The reference as a message names it, which may have nothing to show.
    fn name(&self) -> String {
        match (self.shown.is_empty(), self.purpose.target()) {
            (true, Some(target)) => target.to_owned(),
            _ => self.shown.clone(),
        }
    }

    fn invalid(&self, why: &str) -> Fault {
        bad_argument::invalid_blob(self.name()).because(why)
    }

    fn no_blob(&self, why: &str) -> Fault {
        match self.purpose {
            Purpose::Input(_) => bad_argument::input_blob_relative_location_invalid(),
            _ => self.invalid(why),
        }
    }

    fn missing(&self) -> Fault {
        match self.purpose {
            Purpose::Input(_) => bad_argument::missing_input_blob_information(),
            Purpose::Output(name) | Purpose::Model(name) => {
                bad_argument::missing_output_override_specification(name)
            }
            Purpose::Record => self.invalid("all parts are blank"),
        }
    }

    fn unconnected(&self, problem: &str) -> Fault {
        bad_argument::invalid_blob_connection_string(match self.purpose.target() {
            Some(target) => format!("{target}: {problem}"),
            None => problem.to_owned(),
        })
    }
}

/// Whether a query is a shared access signature of Azure's kind, with which blobs are also
/// written; other signed URLs are only read.
fn is_azure_signature(query: &str) -> bool {
    query.split('&').any(|pair| pair.starts_with("sig="))
}

/// The rule for buckets, of both who have them.
fn is_bucket(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    (3..=222).contains(&name.len()) && name.bytes().all(good) && !name.contains("..")
}

#[cfg(test)]
mod tests;
