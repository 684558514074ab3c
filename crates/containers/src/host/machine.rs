//! What all services share: slots for containers, and places for starting ones. Each lane has its
//! own.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Counts what is taken; waits for nothing.
#[derive(Debug)]
pub(super) struct Machine {
    counts: Mutex<Counts>,
    /// Told whenever something is given back.
    pub(super) freed: Arc<Notify>,
    slots: AtomicUsize,
    starting_total: AtomicUsize,
    /// Calls wait for a slot: a container that becomes idle is to be told.
    slots_wanted: AtomicBool,
}

#[derive(Debug, Default)]
struct Counts {
    used: usize,
    starting: usize,
}

/// What keeps a further container from starting, of the machine's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shortage {
    Slots,
    Starts,
}

/// A slot: held by a container that starts or takes calls.
#[derive(Debug)]
pub(super) struct Slot(Arc<Machine>);

/// A place among the containers that start.
#[derive(Debug)]
pub(super) struct Starting(Arc<Machine>);

impl Machine {
    /// What is given back is told to `freed`.
    pub(super) fn new(slots: usize, starting_total: usize, freed: Arc<Notify>) -> Arc<Machine> {
        Arc::new(Machine {
            counts: Mutex::default(),
            freed,
            slots: AtomicUsize::new(slots),
            starting_total: AtomicUsize::new(starting_total),
            slots_wanted: AtomicBool::new(false),
        })
    }

    /// Other limits from now on. Where more is taken than they allow, nothing is started until
    /// enough has ended.
    pub(super) fn set_limits(&self, slots: usize, starting_total: usize) {
        self.slots.store(slots, Ordering::Relaxed);
        self.starting_total.store(starting_total, Ordering::Relaxed);
        self.freed.notify_one();
    }

    /// Says whether calls wait for a slot.
    pub(super) fn want_slots(&self, wanted: bool) {
        self.slots_wanted.store(wanted, Ordering::Release);
    }

    /// A container has no calls now: if its slot is wanted, the scheduler looks.
    pub(super) fn became_idle(&self) {
        if self.slots_wanted.load(Ordering::Acquire) {
            self.freed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Containers that start now.
    pub(super) fn starting(&self) -> usize {
        self.lock().starting
    }

    /// What is short now, if anything; slots are asked for first.
    pub(super) fn shortage(&self) -> Option<Shortage> {
        self.shortage_of(&self.lock())
    }

    fn shortage_of(&self, counts: &Counts) -> Option<Shortage> {
        if counts.used >= self.slots.load(Ordering::Relaxed) {
            Some(Shortage::Slots)
        } else if counts.starting >= self.starting_total.load(Ordering::Relaxed) {
            Some(Shortage::Starts)
        } else {
            None
        }
    }

    /// Takes a slot and a start, within the limits.
    pub(super) fn take(self: &Arc<Self>) -> Result<(Slot, Starting), Shortage> {
        let mut counts = self.lock();
        match self.shortage_of(&counts) {
            Some(shortage) => Err(shortage),
            None => Ok(self.taken(&mut counts)),
        }
    }

    /// Takes a slot and a start, whatever the limits.
    pub(super) fn take_over(self: &Arc<Self>) -> (Slot, Starting) {
        self.taken(&mut self.lock())
    }

    fn taken(self: &Arc<Self>, counts: &mut Counts) -> (Slot, Starting) {
        counts.used += 1;
        counts.starting += 1;
        (Slot(self.clone()), Starting(self.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.lock().used -= 1;
        self.0.freed.notify_one();
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.lock().starting -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_what_is_dropped_is_free_again() {
        let machine = Machine::new(2, 1, Arc::default());
        let (slot, starting) = machine.take().unwrap();
        assert_eq!(machine.take().unwrap_err(), Shortage::Starts);
        drop(starting);
        let (second, _) = machine.take().unwrap();
        assert_eq!(machine.take().unwrap_err(), Shortage::Slots);
        // A new revision's first container goes over the limit.
        let (third, _) = machine.take_over();
        drop(slot);
        assert_eq!(machine.shortage(), Some(Shortage::Slots));
        drop((second, third));
        assert_eq!(machine.shortage(), None);
    }
}
