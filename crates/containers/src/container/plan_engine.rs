//! The engine behind a web service package: decode, run the plan, encode.

use faults::{Fault, internal_error, invalid_operation};
use graph::{Package, Plan, Registry, Resource};
use tables::request::InputPort;
use tables::{Limits, Table, reply, request};

use super::engine::{Engine, Loader, Request, Resources};
use super::work;
use crate::{FormWire, Operation};

/// Loads web service packages with a registry of modules.
pub(super) struct PlanLoader {
    pub(super) registry: Registry,
}

struct PlanEngine {
    plan: Plan,
    limits: Limits,
}

impl Loader for PlanLoader {
    fn load(
        &self,
        package: &[u8],
        limits: Limits,
        resources: &Resources,
    ) -> Result<Box<dyn Engine>, Fault> {
        let json = serde_json::from_slice(package)
            .map_err(|e| internal_error::web_service_package_invalid(e.to_string()))?;
        let package = Package::from_stored_json(&json)?;
        let mut open = |asset: &str| resources.open(asset).map(Resource::new);
        let plan = Plan::compile(&package, &self.registry, &mut open)?;
        Ok(Box::new(PlanEngine { plan, limits }))
    }
}

impl PlanEngine {
    fn score(
        &self,
        form: FormWire,
        body: &[u8],
        cancelled: &(dyn Fn() -> bool + Sync),
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let check = |given: &[_]| self.plan.parameters(given);
        let (tables, parameters) = request::decode(body, self.plan.ports(), &self.limits, check)?;
        let tables = self.plan.run(tables, &parameters, cancelled)?;
        let names = self.plan.outputs().iter().map(|port| port.name.as_str());
        let outputs: Vec<(&str, &Table)> = names.zip(&tables).collect();
        let form = match form {
            FormWire::Table { details } => reply::Form::Table { details },
            FormWire::Rows => reply::Form::Rows,
        };
        reply::encode(&outputs, form, out);
        Ok(())
    }

    fn score_v1(
        &self,
        body: &[u8],
        cancelled: &(dyn Fn() -> bool + Sync),
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let none: InputPort;
        let port = match self.plan.ports() {
            [] => {
                none = InputPort {
                    name: String::new(),
                    schema: tables::Schema::empty().into(),
                };
                &none
            }
            [port] => port,
            _ => return Err(invalid_operation::multiple_inputs_not_allowed()),
        };
        if self.plan.outputs().len() != 1 {
            return Err(invalid_operation::incompatible_model());
        }
        let check = |given: &[_]| self.plan.parameters(given);
        let (table, parameters) = request::decode_v1(body, port, &self.limits, check)?;
        let inputs = if self.plan.ports().is_empty() {
            Vec::new()
        } else {
            vec![table]
        };
        let tables = self.plan.run(inputs, &parameters, cancelled)?;
        match tables.first() {
            Some(table) => reply::encode_v1(table, out),
            None => return Err(invalid_operation::incompatible_model()),
        }
        Ok(())
    }
}

impl Engine for PlanEngine {
    fn run(
        &self,
        request: Request<'_>,
        cancelled: &(dyn Fn() -> bool + Sync),
        reply: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        match request.operation {
            Operation::Score { form } => self.score(form, request.body, cancelled, reply),
            Operation::ScoreV1 => self.score_v1(request.body, cancelled, reply),
            Operation::Work => work::run(&self.plan, &self.limits, request, cancelled, reply),
            Operation::Describe => work::describe(&self.plan, reply),
        }
    }

    fn warm_up(&self) {
        self.plan.warm_up();
    }
}
