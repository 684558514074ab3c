//! Management tokens and the audit trail.

use serde::{Deserialize, Serialize};

/// The body of `POST /umpire/v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRequest {
    /// What it is to be called.
    #[serde(default)]
    pub name: String,
    /// `installation`, `subscription:S`, `group:S/G`, `workspace:ID` or `service:NAME`.
    #[serde(default)]
    pub scope: String,
    /// `read`, `manage` or `admin`; `manage` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// `90d`, `12h`, `30min`, `never`, or a time as RFC 3339; 90 days where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// A management token, without the token itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    /// 32 lower-case hexadecimal digits.
    pub id: String,
    /// The name.
    pub name: String,
    /// `read`, `manage` or `admin`.
    pub role: String,
    /// Where it is good; a service by its id.
    pub scope: String,
    /// The name of the service that the scope is, where there still is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// `good`, `expired` or `revoked`.
    pub state: String,
    /// RFC 3339.
    pub created: String,
    /// RFC 3339; never where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<String>,
    /// The day of the last use, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<String>,
}

/// All management tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenList {
    /// By name; of several of a name the newest first.
    pub tokens: Vec<TokenView>,
}

/// A management token that was made just now.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenMade {
    /// The token, which is shown this once.
    pub token: String,
    /// Its record.
    #[serde(flatten)]
    pub view: TokenView,
}

/// One line of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLine {
    /// Counts the lines.
    pub number: u64,
    /// RFC 3339.
    pub time: String,
    /// Who.
    pub actor: String,
    /// The address that the call came from; empty where there is none.
    pub origin: String,
    /// Did what.
    pub action: String,
    /// To which.
    pub subject: String,
    /// `done`, or the class and code of what it failed with.
    pub result: String,
}

/// Lines of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditList {
    /// Newest first.
    pub lines: Vec<AuditLine>,
    /// What `before` is for the lines that follow, where there may be any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}
