//! Signatures that let whoever shows one reach one blob for a while.
//!
//! A signature stands in a URL's query in the form that clients of Azure storage know: `sv` (the
//! form's version), `se` (until when), `sr=b` (a blob), `sp` (what for) and `sig`, an HMAC-SHA256
//! over all of them and where the blob stands. The key comes from the key of digests, so that a
//! change of the master key leaves signatures as they are.

use std::fmt;

use jiff::Timestamp;

use super::BlobAt;
use crate::Sealer;
use crate::seal::base64_url;

/// The version of the form, in `sv`.
pub const SIGNED_VERSION: &str = "2021-12-02";
/// The resource that is signed, in `sr`.
const RESOURCE: &str = "b";
/// The longest part of a query that is looked at, in bytes.
const PART_BYTES: usize = 128;

/// What somebody wants to do with a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Read it.
    Read,
    /// Write one that is not there yet.
    Create,
    /// Write it.
    Write,
    /// Delete it.
    Delete,
}

impl Permission {
    /// All, in the order in which `sp` names them.
    const ALL: [Permission; 4] = [
        Permission::Read,
        Permission::Create,
        Permission::Write,
        Permission::Delete,
    ];

    /// The permission of that letter: `r`, `c`, `w` or `d`.
    pub fn of_letter(letter: char) -> Option<Permission> {
        Permission::ALL
            .into_iter()
            .find(|permission| permission.letter() == letter)
    }

    fn letter(self) -> char {
        match self {
            Permission::Read => 'r',
            Permission::Create => 'c',
            Permission::Write => 'w',
            Permission::Delete => 'd',
        }
    }
}

/// Why a signature opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantProblem {
    /// There is none, or not all of it.
    Missing,
    /// It is not one of ours, or one for something else.
    Wrong,
    /// Its time is over.
    Expired,
}

impl fmt::Display for GrantProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GrantProblem::Missing => "no signature was given",
            GrantProblem::Wrong => "the signature is not valid for this blob",
            GrantProblem::Expired => "the signature has expired",
        })
    }
}

/// What a valid signature lets its holder do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobGrant {
    permissions: String,
    /// When it ends.
    pub expires: Timestamp,
}

impl BlobGrant {
    /// Whether it lets him do that.
    pub fn permits(&self, permission: Permission) -> bool {
        self.permissions.contains(permission.letter())
    }

    /// The query, from its `?` on, that gives `permissions` on a blob until `expires`; that time is
    /// cut to whole seconds.
    pub fn query(
        sealer: &Sealer,
        at: &BlobAt,
        permissions: &[Permission],
        expires: Timestamp,
    ) -> String {
        let sp: String = Permission::ALL
            .into_iter()
            .filter(|permission| permissions.contains(permission))
            .map(Permission::letter)
            .collect();
        let second = Timestamp::from_second(expires.as_second()).unwrap_or(expires);
        let se = second.to_string();
        let sig = base64_url(&sealer.sign(&text(at, &se, &sp)));
        format!("?sv={SIGNED_VERSION}&se={se}&sr={RESOURCE}&sp={sp}&sig={sig}")
    }

    /// What the parts of a query (decoded; `part` finds one by its name) let their holder do with a
    /// blob. How long this takes does not depend on where a signature differs.
    ///
    /// # Errors
    /// [`GrantProblem`].
    pub fn of_query<'q>(
        sealer: &Sealer,
        at: &BlobAt,
        part: impl Fn(&str) -> Option<std::borrow::Cow<'q, str>>,
        now: Timestamp,
    ) -> Result<BlobGrant, GrantProblem> {
        let part = |name| {
            part(name)
                .filter(|value| (1..=PART_BYTES).contains(&value.len()))
                .ok_or(GrantProblem::Missing)
        };
        let (sv, se, sr, sp, sig) = (
            part("sv")?,
            part("se")?,
            part("sr")?,
            part("sp")?,
            part("sig")?,
        );
        let signed = base64_url(&sealer.sign(&text(at, &se, &sp)));
        // By digests of both, so that the time says nothing of either.
        let same = sealer.digest_key(&signed).matches(&sealer.digest_key(&sig));
        if !same || sv != SIGNED_VERSION || sr != RESOURCE {
            return Err(GrantProblem::Wrong);
        }
        let expires: Timestamp = se.parse().map_err(|_| GrantProblem::Wrong)?;
        match now < expires {
            true => Ok(BlobGrant {
                permissions: sp.into_owned(),
                expires,
            }),
            false => Err(GrantProblem::Expired),
        }
    }
}

/// What is signed. No part holds a line break: names hold no control characters, and a query with
/// one has no signature of ours.
fn text(at: &BlobAt, se: &str, sp: &str) -> String {
    format!(
        "{SIGNED_VERSION}\n{RESOURCE}\n{}\n{}\n{}\n{sp}\n{se}",
        at.workspace(),
        at.container(),
        at.name()
    )
}
