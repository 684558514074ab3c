//! A container: the process that holds one revision and runs its calls.
//!
//! It is started by the host with one end of a socket pair as descriptor 3, the board as 4 and
//! its resources from 5 on (and, in the batch lane, the side channel behind them), and speaks the protocol of [`crate::frames`]. Before it looks at the
//! package it confines itself. It ends when the host says `Bye`, when the channel closes, and
//! with the gateway's process, however that ends.

mod confine;
mod engine;
mod output;
mod plan_engine;
mod reader;
mod work;
mod work_files;
mod workers;

use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use faults::{Fault, internal_error};

use crate::board::Board;
use crate::frames::{Frame, Identity, Inbound, Refusal, STATUS_ANSWER, STATUS_FAULT, VERSION};
use crate::setup::{BOARD_FD, CHANNEL_FD, LOAD_FAILED_EXIT, REFUSED_EXIT, SetupDocument};
use crate::{quota, system};

pub(crate) use confine::is_confined;
use engine::{Loader, Resources};

/// Runs this process as a container with these modules; it does not return while the container
/// lives. A process that was not started by a host gets a line on standard error and a failure.
pub fn main(registry: graph::Registry) -> ExitCode {
    run(&plan_engine::PlanLoader { registry })
}

fn run(loader: &dyn Loader) -> ExitCode {
    quota::enforce();
    if !is_socket(CHANNEL_FD) {
        eprintln!("`umpire container` is started by `umpire serve`, not by hand");
        return ExitCode::FAILURE;
    }
    let mut inbound = reader::Reader::buffer();
    let (identity, document, package) = read_setup(&mut inbound);
    let highest = document
        .resources
        .iter()
        .map(|entry| entry.fd)
        .chain(document.side_channel)
        .max()
        .unwrap_or(BOARD_FD);
    let confinement = confine::confine(highest, document.run_as);
    let heartbeat = Duration::from_millis(document.heartbeat_ms.max(1));
    let max_reply = document.max_reply as usize;
    let shared = Board::open(BOARD_FD, document.calls as usize)
        .and_then(|board| workers::Shared::new(CHANNEL_FD, Arc::new(board), heartbeat, max_reply));
    let shared = match shared {
        Ok(shared) => Arc::new(shared),
        Err(error) => {
            eprintln!("the container's board cannot be used: {error}");
            return ExitCode::FAILURE;
        }
    };
    shared.output.frame(Frame::Hello {
        identity,
        confinement: &confinement,
    });
    shared.output.flush();
    let monitor = {
        let shared = shared.clone();
        std::thread::Builder::new()
            .name("monitor".to_owned())
            .stack_size(128 * 1024)
            .spawn(move || workers::monitor(&shared))
    };
    if monitor.is_err() {
        // A thread's stack is the only thing it can be refused here.
        quota::exit_over_quota();
    }

    let limits = document.limits.into();
    let resources = Resources::take(document.resources);
    let loaded = catch_unwind(AssertUnwindSafe(|| {
        let engine = loader.load(&package, limits, &resources)?;
        engine.warm_up();
        Ok(engine)
    }));
    let loaded = loaded.unwrap_or_else(|panic| {
        Err(internal_error::unknown_error()
            .because(workers::panic_text(&*panic))
            .because("loading the package"))
    });
    drop((package, resources));
    let now = std::time::Instant::now();
    let engine = match loaded {
        Ok(engine) => {
            shared.output.reply(0, STATUS_ANSWER, &mut Vec::new(), now);
            engine
        }
        Err(fault) => {
            send_load_fault(&shared.output, &fault);
            exit(LOAD_FAILED_EXIT);
        }
    };
    let reader = reader::Reader::new(
        CHANNEL_FD,
        inbound,
        identity,
        document.max_body,
        document.side_channel,
        shared.board.clone(),
    );
    let threads = (document.compute_threads as usize).clamp(1, 1024);
    match workers::run(&shared, engine, reader, threads) {
        Ok(never) => match never {},
        // A thread's stack was refused.
        Err(_) => quota::exit_over_quota(),
    }
}

/// The answer to a set-up that failed. It needs no credit, being sent whole before the end.
fn send_load_fault(output: &output::Output, fault: &Fault) {
    let bytes = fault.to_bytes();
    output.frame(Frame::Reply {
        id: 0,
        status: STATUS_FAULT,
        len: bytes.len() as u32,
    });
    for chunk in bytes.chunks(crate::frames::MAX_PAYLOAD) {
        output.frame(Frame::Data {
            id: 0,
            bytes: chunk,
        });
    }
    output.flush();
}

/// Ends this process at once.
fn exit(status: i32) -> ! {
    // SAFETY: _exit takes any status. Nothing in a container is kept that an orderly end would
    // have to write.
    unsafe { libc::_exit(status) }
}

/// The host is gone, or wants nothing more: so is the container.
fn channel_closed() -> ! {
    exit(0)
}

fn is_socket(fd: RawFd) -> bool {
    // SAFETY: a zeroed stat is a valid place for fstat to write one stat to.
    unsafe {
        let mut stat = std::mem::zeroed::<libc::stat>();
        libc::fstat(fd, &mut stat) == 0 && stat.st_mode & libc::S_IFMT == libc::S_IFSOCK
    }
}

fn refuse_setup(reason: Refusal, why: &str) -> ! {
    eprintln!("the set-up is refused: {why}");
    let mut bytes = Vec::new();
    let reason = reason as u8;
    Frame::Refused { id: 0, reason }.encode(&mut bytes);
    // The host may be gone; then nobody needs the reason.
    let _ = system::send(CHANNEL_FD, &bytes, 0);
    exit(REFUSED_EXIT)
}

/// Reads the set-up: who asks, the document, the package. What follows it stays in `inbound`.
fn read_setup(inbound: &mut Inbound) -> (Identity, SetupDocument, Vec<u8>) {
    let mut opened: Option<(Identity, usize, usize)> = None;
    let mut bytes = Vec::new();
    loop {
        loop {
            match (inbound.next_frame(), &opened) {
                (Ok(None), _) => break,
                (Err(error), _) => refuse_setup(Refusal::Frame, &error.to_string()),
                (Ok(Some(Frame::Setup { identity, .. })), None) if identity.version != VERSION => {
                    let why = format!("version {} is not {VERSION}", identity.version);
                    refuse_setup(Refusal::Version, &why)
                }
                (
                    Ok(Some(Frame::Setup {
                        identity,
                        document,
                        package,
                    })),
                    None,
                ) => opened = Some((identity, document as usize, package as usize)),
                (Ok(Some(Frame::Data { id: 0, bytes: more })), Some((_, document, package)))
                    if bytes.len() + more.len() <= document + package =>
                {
                    bytes.extend_from_slice(more);
                }
                (Ok(Some(_)), _) => refuse_setup(Refusal::Frame, "a frame that belongs elsewhere"),
            }
            if let Some((identity, document, package)) = opened
                && bytes.len() == document + package
            {
                let rest = bytes.split_off(document);
                match serde_json::from_slice(&bytes) {
                    Ok(document) => return (identity, document, rest),
                    Err(error) => refuse_setup(Refusal::Frame, &error.to_string()),
                }
            }
        }
        match system::receive(CHANNEL_FD, inbound.space(), 0) {
            Ok(0) | Err(_) => channel_closed(),
            Ok(count) => inbound.filled(count),
        }
    }
}
