//! `/umpire/v1/tokens`: management tokens, made, listed and revoked.

use faults::Fault;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use jiff::Timestamp;
use manage::Scope;
use store::Token;
use wire::umpire_v1::{TokenList, TokenMade, TokenRequest, TokenView};

use super::authorize;
use super::services::body;
use crate::reply::Reply;
use crate::stack::Call;

/// `POST`: makes one; the reply is the only one that shows it.
pub(crate) async fn create(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let principal = authorize(call)?;
    let request: TokenRequest = body(call).await?;
    let asked = manage::TokenRequest {
        name: &request.name,
        role: request.role.as_deref(),
        scope: &request.scope,
        expires: request.expires.as_deref(),
    };
    let manager = &call.gateway.manager;
    let (token, text) = manager.create_token(&principal, &asked).await?;
    let made = TokenMade {
        token: text,
        view: view(call, &token),
    };
    let reply = Reply::json(StatusCode::CREATED, &made)?;
    Ok(reply.with(CACHE_CONTROL, HeaderValue::from_static("no-store")))
}

/// `GET`: all of them, those that are no longer good too.
pub(crate) fn list(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = authorize(call)?;
    let tokens = call.gateway.manager.tokens(&principal)?;
    let tokens = tokens.iter().map(|token| view(call, token)).collect();
    Reply::json(StatusCode::OK, &TokenList { tokens })
}

/// `DELETE /umpire/v1/tokens/{name}`: revokes one, by its name or id.
pub(crate) async fn revoke(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = authorize(call)?;
    let manager = &call.gateway.manager;
    manager.revoke_token(&principal, &call.word(0)).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

fn view(call: &Call<'_>, token: &Token) -> TokenView {
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let state = match token.revoked {
        Some(_) => "revoked",
        None if token.is_good(Timestamp::now()) => "good",
        None => "expired",
    };
    TokenView {
        id: token.id.to_string(),
        name: token.name.clone(),
        role: token.role.name().to_owned(),
        scope: token.scope.to_string(),
        service: match &token.scope {
            Scope::Service(id) => call.gateway.manager.service_name(id),
            _ => None,
        },
        state: state.to_owned(),
        created: token.created.to_string(),
        expires: text(token.expires),
        revoked: text(token.revoked),
        last_used: token.last_used().map(|day| day.strftime("%F").to_string()),
    }
}
