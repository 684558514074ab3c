//! Whose turn it is: so many chunks are worked on at once, and endpoints, and the jobs of each,
//! take turns.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::Id;
use tokio::sync::oneshot;

/// So many places for work, handed out in turn.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<Queues>);

#[derive(Debug, Default)]
struct Queues {
    most: usize,
    taken: usize,
    /// Whether no place is given away.
    closed: bool,
    /// Those who wait, by endpoint, the next one first.
    endpoints: VecDeque<(Id, Jobs)>,
}

/// Those who wait at one endpoint, by job, the next one first.
type Jobs = VecDeque<(Id, VecDeque<oneshot::Sender<Slot>>)>;

/// A place for work; dropped, it goes to the next.
#[derive(Debug)]
pub(super) struct Slot(Option<Arc<Slots>>);

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.0.take() {
            slots.lock().taken -= 1;
            slots.give();
        }
    }
}

impl Slots {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets there be so many places from now on, or none where it is closed. What is taken stays.
    pub(super) fn set(self: &Arc<Self>, most: usize, closed: bool) {
        let mut queues = self.lock();
        (queues.most, queues.closed) = (most, closed);
        drop(queues);
        self.give();
    }

    /// Waits for a place. Whoever stops waiting loses nothing of anybody else's.
    pub(super) async fn take(self: &Arc<Self>, endpoint: Id, job: Id) -> Slot {
        let (give, given) = oneshot::channel();
        {
            let mut queues = self.lock();
            let jobs = entry(&mut queues.endpoints, endpoint);
            entry(jobs, job).push_back(give);
        }
        self.give();
        match given.await {
            Ok(slot) => slot,
            // The queues go with the last of those who hold them, and this one does.
            Err(_) => std::future::pending().await,
        }
    }

    /// Gives free places to those whose turn it is.
    fn give(self: &Arc<Self>) {
        loop {
            let mut queues = self.lock();
            if queues.closed || queues.taken >= queues.most {
                return;
            }
            let Some(waiting) = queues.next() else {
                return;
            };
            queues.taken += 1;
            drop(queues);
            // Where nobody waits there any more the slot comes back and is given to the next.
            let unwanted = waiting.send(Slot(Some(self.clone())));
            if let Err(mut slot) = unwanted {
                slot.0 = None;
                self.lock().taken -= 1;
            }
        }
    }
}

impl Queues {
    /// The next one, whose endpoint and job then go to the end of their queues.
    fn next(&mut self) -> Option<oneshot::Sender<Slot>> {
        let (endpoint, mut jobs) = self.endpoints.pop_front()?;
        let mut found = None;
        if let Some((job, mut waiting)) = jobs.pop_front() {
            found = waiting.pop_front();
            if !waiting.is_empty() {
                jobs.push_back((job, waiting));
            }
        }
        if !jobs.is_empty() {
            self.endpoints.push_back((endpoint, jobs));
        }
        found
    }
}

/// The queue of an id, made at the end where there is none.
fn entry<T: Default>(queues: &mut VecDeque<(Id, T)>, id: Id) -> &mut T {
    let at = match queues.iter().position(|(other, _)| *other == id) {
        Some(at) => at,
        None => {
            queues.push_back((id, T::default()));
            queues.len() - 1
        }
    };
    &mut queues[at].1
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    /// Who got a place, in the order in which they did; `order` gives endpoint and job.
    async fn turns(order: &[(u8, u8)]) -> Vec<(u8, u8)> {
        let slots = Arc::new(Slots::default());
        slots.set(1, false);
        let id = |n: u8| Id([n; 16]);
        let first = slots.take(id(0), id(0)).await;
        let (tell, mut told) = mpsc::channel(order.len().max(1));
        for &(endpoint, job) in order {
            let (slots, tell) = (slots.clone(), tell.clone());
            let mut wait = Box::pin(async move {
                let slot = slots.take(id(endpoint), id(job)).await;
                tell.send((endpoint, job)).await.unwrap();
                drop(slot);
            });
            // They stand in line in this order.
            assert!(futures_util::poll!(&mut wait).is_pending());
            tokio::spawn(wait);
        }
        drop((first, tell));
        let mut got = Vec::new();
        while let Some(who) = told.recv().await {
            got.push(who);
        }
        got
    }

    #[tokio::test]
    async fn endpoints_and_their_jobs_take_turns() {
        let order = [(1, 1), (1, 1), (1, 1), (1, 2), (2, 3), (2, 3)];
        let got = turns(&order).await;
        assert_eq!(got, [(1, 1), (2, 3), (1, 2), (2, 3), (1, 1), (1, 1)]);
    }

    #[tokio::test]
    async fn whoever_stops_waiting_takes_nothing_along() {
        let slots = Arc::new(Slots::default());
        slots.set(1, true);
        let id = Id([1; 16]);
        {
            let mut wait = Box::pin(slots.take(id, id));
            assert!(futures_util::poll!(&mut wait).is_pending());
        }
        let mut wait = Box::pin(slots.take(id, id));
        assert!(futures_util::poll!(&mut wait).is_pending(), "it is closed");
        slots.set(1, false);
        let slot = wait.await;
        let mut next = Box::pin(slots.take(id, id));
        assert!(futures_util::poll!(&mut next).is_pending());
        drop(slot);
        drop(next.await);
        assert_eq!(slots.lock().taken, 0);
    }
}
