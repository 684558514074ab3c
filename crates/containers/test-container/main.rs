//! A container whose one module does what each cell tells it to: the real main loop, the real
//! protocol, real conditions.

mod peers;

use std::alloc::System;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use containers::quota::QuotaAlloc;
use faults::{Class, Fault, internal_error};
use graph::{
    Interface, Module, ParameterKind, ParameterSpec, PortKind, PortSpec, PortValue, Registry,
    ResourceLoader, RunContext, Settings, Step,
};
use tables::{Column, DataType, Field, Schema, Strings, Table, Values};

#[global_allocator]
static ALLOCATOR: QuotaAlloc<System> = QuotaAlloc(System);

static INTERFACE: Interface = Interface {
    name: "Act",
    family: "000000000000000000000000000000ac",
    aliases: &[],
    families: &[],
    inputs: &[
        PortSpec::new("Dataset", PortKind::Table),
        PortSpec::optional("Model", PortKind::Model),
    ],
    outputs: &[PortSpec::new("Results", PortKind::Table)],
    parameters: &[ParameterSpec::new("On load", ParameterKind::String).default("echo")],
    row_wise: true,
};

struct Act;

impl Module for Act {
    fn interface(&self) -> &'static Interface {
        &INTERFACE
    }

    fn prepare(&self, settings: &Settings, _node: &str) -> Result<Box<dyn Step>, Fault> {
        act(settings.get_str("On load").unwrap_or("echo"), &|| false)?;
        Ok(Box::new(ActStep))
    }
}

struct ActStep;

impl Step for ActStep {
    fn run(
        &self,
        inputs: &mut [Option<PortValue>],
        context: &RunContext<'_>,
    ) -> Result<Vec<PortValue>, Fault> {
        let Some(Some(PortValue::Table(table))) = inputs.first() else {
            return Err(internal_error::module_execution_failed());
        };
        let mut said = Strings::new();
        if let Some((_, column)) = table.by_name("do")
            && let Values::Str(actions) = &column.values
        {
            for action in actions.iter() {
                said.push(&act(action, context.cancelled)?);
            }
        }
        if let Some(model) = inputs.get(1).and_then(Option::as_ref)
            && let Some(size) = model.downcast::<usize>()
        {
            said = said.iter().map(|_| format!("{size} bytes")).collect();
        }
        let schema = Schema::new(vec![Field::new("said", DataType::String)]);
        let schema = schema.map_err(|_| internal_error::module_execution_failed())?;
        let column = Arc::new(Column::new(Values::Str(said)));
        Ok(vec![PortValue::Table(Table::new(
            Arc::new(schema),
            vec![column],
        ))])
    }
}

/// Does what an action says and gives what is to be said of it.
#[expect(
    clippy::disallowed_methods,
    reason = "ending the process is what the test asks for"
)]
fn act(action: &str, cancelled: &dyn Fn() -> bool) -> Result<String, Fault> {
    let (verb, rest) = action.split_once(' ').unwrap_or((action, ""));
    let number = rest.parse::<u64>().unwrap_or(0);
    match verb {
        // Milliseconds, stopping when nobody waits.
        "sleep" => {
            let end = Instant::now() + Duration::from_millis(number);
            while Instant::now() < end {
                if cancelled() {
                    eprintln!("stopped: {action}");
                    return Err(faults::request_timeout::request_canceled());
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        // Milliseconds without ever looking whether anybody waits.
        "deaf" => std::thread::sleep(Duration::from_millis(number)),
        "panic" => panic!("told to"),
        "abort" => std::process::abort(),
        "fault-address" => {
            // SAFETY: none: this is the invalid access that the test asks for. The pointer is not
            // null but as invalid, so that nothing checks it before.
            unsafe { std::ptr::with_exposed_provenance_mut::<u64>(8).write_volatile(1) };
        }
        // SAFETY: raising a signal in this process.
        "signal" => unsafe {
            libc::raise(number as i32);
        },
        "exit" => std::process::exit(number as i32),
        // Milliseconds, deaf, and a status: ends after a while.
        "later" => {
            let (wait, status) = rest.split_once(' ').unwrap_or((rest, "0"));
            std::thread::sleep(Duration::from_millis(wait.parse().unwrap_or(0)));
            std::process::exit(status.parse().unwrap_or(0));
        }
        // Megabytes, really touched.
        "take" => {
            let mut kept = Vec::new();
            for _ in 0..number {
                let mut block = vec![1_u8; 1 << 20];
                std::hint::black_box(&mut block);
                kept.push(block);
            }
            return Ok(format!("{} MB", kept.len()));
        }
        "read" => {
            return Ok(match std::fs::read(rest) {
                Ok(bytes) => format!("{} bytes", bytes.len()),
                Err(error) => format!("{:?}", error.kind()),
            });
        }
        "connect" => {
            return Ok(match std::net::TcpStream::connect(rest) {
                Ok(_) => "connected".to_owned(),
                Err(error) => format!("{:?}", error.kind()),
            });
        }
        "environment" => {
            let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
            return Ok(names.collect::<Vec<_>>().join(","));
        }
        "descriptors" => {
            // SAFETY: fcntl on numbers, open or not.
            let open = (0..4096).filter(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0);
            let open = open.map(|fd| fd.to_string());
            return Ok(open.collect::<Vec<_>>().join(","));
        }
        // SAFETY: calls without pointers.
        "identity" => unsafe {
            return Ok(format!(
                "dumpable={} no_new_privs={} uid={}",
                libc::prctl(libc::PR_GET_DUMPABLE),
                libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
                libc::getuid(),
            ));
        },
        "pid" => return Ok(std::process::id().to_string()),
        "write" => println!("{rest}"),
        // A text of so many bytes.
        "long" => return Ok("x".repeat(number as usize)),
        "fault" => {
            return Err(Fault::module(
                Class::ModuleExecutionError,
                "0042",
                rest,
                "n",
            ));
        }
        _ => {}
    }
    Ok(format!("did {action}"))
}

struct Size;

impl ResourceLoader for Size {
    fn kind(&self) -> PortKind {
        PortKind::Model
    }

    fn load(&self, _asset: &str, bytes: &[u8]) -> Result<PortValue, Fault> {
        Ok(PortValue::Object(Arc::new(bytes.len())))
    }
}

fn main() -> ExitCode {
    if let Some(peer) = std::env::args().nth(1) {
        return peers::run(&peer);
    }
    containers::container::main(Registry::new().with(Act).with_loader(Size))
}
