//! When containers are started, and when they are ended for want of use.
//!
//! One task decides, so that no two decisions cross: it looks at the pools whenever a call begins
//! to wait, something is freed, or a time has come.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::Inner;
use super::machine::Shortage;
use super::options::Lane;
use super::pool::{Group, Pool};
use super::process::{Process, Wish};

/// The longest pause between two looks.
const AT_LEAST_EVERY: Duration = Duration::from_secs(1);

/// Runs until the host is dropped.
pub(super) async fn run(inner: Weak<Inner>) {
    let mut next = Instant::now() + AT_LEAST_EVERY;
    loop {
        let Some(machine) = inner.upgrade().map(|inner| inner.machine.clone()) else {
            return;
        };
        tokio::select! {
            () = machine.freed.notified() => {}
            () = tokio::time::sleep_until(next.into()) => {}
        }
        let Some(inner) = inner.upgrade() else {
            return;
        };
        next = pass(&inner);
    }
}

/// Looks at every pool once; when to look again.
fn pass(inner: &Arc<Inner>) -> Instant {
    let now = Instant::now();
    let mut next = now + AT_LEAST_EVERY;
    let mut pools = inner.pools();
    let batch = pools
        .extract_if(.., |pool| pool.lane == Lane::Batch)
        .collect();
    for (lane, pools) in [(Lane::Scoring, pools), (Lane::Batch, batch)] {
        next = next.min(pass_lane(inner, lane, pools, now));
    }
    next
}

/// Looks at the pools of a lane; when to look again.
fn pass_lane(inner: &Arc<Inner>, lane: Lane, pools: Vec<Arc<Pool>>, now: Instant) -> Instant {
    let mut next = now + AT_LEAST_EVERY;
    let mut wanting: Vec<(Instant, &Arc<Pool>)> = Vec::new();
    for pool in &pools {
        if let Some(since) = settle(inner, pool, now) {
            wanting.push((since, pool));
        }
    }
    if inner.is_closing() {
        return next;
    }
    match lane {
        // Who has waited longest gets the slot.
        Lane::Scoring => wanting.sort_by_key(|(since, _)| *since),
        // A job's pieces wait all the time: the slot goes to whom it was given least lately.
        Lane::Batch => wanting.sort_by_key(|(since, pool)| (pool.lock().last_turn, *since)),
    }
    let mut slots_short = false;
    for (_, pool) in wanting {
        let (again, short) = start_wanted(inner, pool, now);
        slots_short |= short;
        if let Some(again) = again {
            next = next.min(again);
        }
    }
    inner.machine_of(lane).want_slots(slots_short);
    match (slots_short, lane) {
        (true, Lane::Scoring) => {
            evict(&pools, now);
        }
        (true, Lane::Batch) => {
            if !evict(&pools, now)
                && let Some(again) = take_turns(&pools, now, inner.options.load().batch_turn)
            {
                next = next.min(again);
            }
        }
        (false, Lane::Scoring) => pools.iter().for_each(|pool| keep_warm(inner, pool)),
        (false, Lane::Batch) => {}
    }
    pools.into_iter().for_each(|pool| inner.drop_vacant(pool));
    next
}

/// Forgets waiters that went away and ends idle containers; since when the oldest waiter waits.
fn settle(inner: &Inner, pool: &Pool, now: Instant) -> Option<Instant> {
    let idle_limit = inner.options.load().idle;
    let mut idle = Vec::new();
    let mut oldest: Option<Instant> = None;
    let mut state = pool.lock();
    state.check_at = None;
    for group in &mut state.groups {
        group.waiters.retain(|w| !w.is_gone());
        if let Some(first) = group.waiters.front() {
            oldest = Some(oldest.map_or(first.since, |since| since.min(first.since)));
        }
        let keep = group.limits().min_instances;
        while group.members.len() > keep {
            let unused = group
                .members
                .iter()
                .position(|m| m.admitted == 0 && now.duration_since(m.idle_since) > idle_limit);
            match unused {
                Some(at) => idle.push(group.members.swap_remove(at).process),
                None => break,
            }
        }
    }
    drop(state);
    for process in idle {
        process.want(Wish::Finish("idle"));
    }
    oldest
}

/// Starts the containers that a pool's waiting calls need. When to look again, and whether a slot
/// was wanting.
fn start_wanted(inner: &Arc<Inner>, pool: &Arc<Pool>, now: Instant) -> (Option<Instant>, bool) {
    let options = inner.options.load();
    let mut again: Option<Instant> = None;
    let mut short = false;
    let mut starts = Vec::new();
    let mut turn = None;
    let mut state = pool.lock();
    let mut starting = state.starting();
    for group in &mut state.groups {
        loop {
            let coming = group.starting * options.calls(pool.lane);
            // The first one that the containers which start already will not serve.
            let Some(waiter) = group.waiters.get(coming) else {
                break;
            };
            if !group.may_grow() || starting >= options.starting_per_service {
                break;
            }
            let mut not_before = group.pause_until.unwrap_or(now);
            if !group.members.is_empty() {
                not_before = not_before.max(waiter.since + options.grow_after);
            }
            if not_before > now {
                again = Some(again.map_or(not_before, |at| at.min(not_before)));
                break;
            }
            match pool.machine.take() {
                Ok(taken) => {
                    group.starting += 1;
                    starting += 1;
                    starts.push((group.revision, taken));
                    turn = Some(now);
                }
                Err(shortage) => {
                    short |= shortage == Shortage::Slots;
                    break;
                }
            }
        }
    }
    state.last_turn = turn.or(state.last_turn);
    if pool.lane == Lane::Batch {
        // So do an endpoint's revisions take turns.
        let started = |group: &Group| starts.iter().any(|(r, _)| *r == group.revision);
        state.groups.sort_by_key(started);
    }
    state.check_at = again;
    drop(state);
    for (revision, taken) in starts {
        inner.start_for_calls(pool.clone(), revision, taken);
    }
    (again, short)
}

/// Starts what is to be kept ready without calls.
fn keep_warm(inner: &Arc<Inner>, pool: &Arc<Pool>) {
    let now = Instant::now();
    let mut starts = Vec::new();
    let mut state = pool.lock();
    let mut starting = state.starting();
    for group in &mut state.groups {
        let paused = group.pause_until.is_some_and(|until| now < until);
        let wanted = group.limits().min_instances;
        while !paused
            && group.members.len() + group.starting < wanted
            && group.may_grow()
            && starting < inner.options.load().starting_per_service
            && let Ok(taken) = inner.machine.take()
        {
            group.starting += 1;
            starting += 1;
            starts.push((group.revision, taken));
        }
    }
    drop(state);
    for (revision, taken) in starts {
        inner.start_for_calls(pool.clone(), revision, taken);
    }
}

/// Ends the container that has been without calls longest, of a service that can spare it; whether
/// there was one. Its slot is free at once, which brings on the next look.
fn evict(pools: &[Arc<Pool>], now: Instant) -> bool {
    let mut longest: Option<(Duration, Arc<Pool>, Arc<Process>)> = None;
    for pool in pools {
        let state = pool.lock();
        for group in &state.groups {
            if group.members.len() <= group.limits().min_instances || !group.waiters.is_empty() {
                continue;
            }
            for member in group.members.iter().filter(|m| m.admitted == 0) {
                let idle = now.saturating_duration_since(member.idle_since);
                if longest.as_ref().is_none_or(|(most, ..)| idle > *most) {
                    longest = Some((idle, pool.clone(), member.process.clone()));
                }
            }
        }
    }
    let found = longest.is_some();
    if let Some((_, pool, process)) = longest {
        // A call may have been given to it meanwhile: then it finishes that first.
        pool.forget(&process);
        process.want(Wish::Finish("evicted"));
    }
    found
}

/// Where every slot of the batch lane has work and a further service waits, the container that has
/// worked longest gives its slot up once its turn is over: it finishes what it has, and its service
/// waits for its next turn behind the others. When to look again where that is not yet so.
fn take_turns(pools: &[Arc<Pool>], now: Instant, turn: Duration) -> Option<Instant> {
    let mut oldest: Option<(Arc<Pool>, Arc<Process>)> = None;
    for pool in pools {
        for group in &pool.lock().groups {
            for member in &group.members {
                let process = &member.process;
                let longest = oldest.as_ref().map(|(_, found)| found.started);
                if longest.is_none_or(|since| process.started < since) {
                    oldest = Some((pool.clone(), process.clone()));
                }
            }
        }
    }
    let (pool, process) = oldest?;
    let over = process.started + turn;
    if over > now {
        return Some(over);
    }
    pool.forget(&process);
    process.want(Wish::Finish("turn"));
    None
}
