//! `/umpire/v1/nodes` and `/umpire/v1/containers`: what runs, and taking it out of service.

use faults::Fault;
use http::StatusCode;
use manage::{ContainerView, NodeState, NodeView};
use wire::umpire_v1 as wire_v1;

use super::authorize;
use crate::reply::Reply;
use crate::stack::Call;

/// `GET /umpire/v1/nodes`.
pub(crate) fn list(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = authorize(call)?;
    let nodes = call.gateway.manager.nodes(&principal)?;
    let nodes = nodes.iter().map(node).collect();
    Reply::json(StatusCode::OK, &wire_v1::NodeList { nodes })
}

/// `POST /umpire/v1/nodes/{id}/drain` and `…/resume`.
pub(crate) async fn set_drained(call: &Call<'_>, drained: bool) -> Result<Reply, Fault> {
    let principal = authorize(call)?;
    let manager = &call.gateway.manager;
    let after = manager
        .set_drained(&principal, &call.word(0), drained)
        .await?;
    Reply::json(StatusCode::OK, &node(&after))
}

/// `GET /umpire/v1/containers`.
pub(crate) fn containers(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = authorize(call)?;
    let containers = call.gateway.manager.containers(&principal)?;
    let containers = containers.iter().map(container).collect();
    Reply::json(StatusCode::OK, &wire_v1::ContainerList { containers })
}

/// `POST /umpire/v1/containers/{id}/retire`: 204 once a successor takes its calls.
pub(crate) async fn retire(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = authorize(call)?;
    let manager = &call.gateway.manager;
    manager.retire(&principal, &call.word(0)).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /umpire/v1/secrets/rotate`: a new master key.
pub(crate) async fn rotate_secrets(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = authorize(call)?;
    let former_key = call.gateway.manager.rotate_master_key(&principal).await?;
    Reply::json(StatusCode::OK, &wire_v1::SecretsRotated { former_key })
}

fn node(node: &NodeView) -> wire_v1::NodeView {
    let state = match node.state {
        NodeState::Serving => wire_v1::NodeState::Serving,
        NodeState::Draining => wire_v1::NodeState::Draining,
        NodeState::Drained => wire_v1::NodeState::Drained,
    };
    wire_v1::NodeView {
        id: node.id.to_string(),
        version: node.version.to_owned(),
        uptime_seconds: node.uptime.as_secs(),
        state,
        containers: node.containers,
        calls: node.calls,
        waiting: node.waiting,
        container_memory: node.container_memory,
    }
}

fn container(container: &ContainerView) -> wire_v1::ContainerView {
    use containers::ContainerState;
    let status = &container.status;
    let state = match status.state {
        ContainerState::Starting => wire_v1::ContainerState::Starting,
        ContainerState::Ready => wire_v1::ContainerState::Ready,
        ContainerState::Retiring => wire_v1::ContainerState::Retiring,
    };
    wire_v1::ContainerView {
        id: status.number.to_string(),
        endpoint: container.label.clone(),
        endpoint_id: container.endpoint.to_string(),
        revision_id: container.revision.to_string(),
        lane: container.lane.name().to_owned(),
        pid: status.pid,
        state,
        calls: status.calls,
        memory: status.memory,
        memory_quota: status.quota_mb << 20,
        age_seconds: status.age.as_secs(),
    }
}
