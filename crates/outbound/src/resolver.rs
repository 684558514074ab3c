//! Looking up names so that only allowed addresses are connected to.

use std::io;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::allow::AllowList;
use crate::failure::NotAllowed;

/// Gives the connector the addresses that may be reached and no other, so that what was checked is
/// what is connected to: a name cannot change its address in between.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) allow: AllowList,
    pub(crate) names: DefaultResolver,
}

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.names.resolve(uri, config, timeout)?;
        let host = uri.host().unwrap_or_default();
        let plain = uri.scheme_str() != Some("https");
        let mut reachable = self.empty();
        for address in found.iter() {
            if self.allow.reaches(host, address.ip(), plain) {
                reachable.push(*address);
            }
        }
        if reachable.is_empty() {
            return Err(io::Error::other(NotAllowed).into());
        }
        Ok(reachable)
    }
}
