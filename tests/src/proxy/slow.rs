//! A slow link: what goes in comes out later, at a rate that all connections share in each direction, in its order.

use super::CHUNK_BYTES;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What waits in a link beside what is on its way, as in the buffer of a router.
const BUFFER_BYTES: usize = 256 * 1024;

/// How slow.
#[derive(Debug, Clone, Copy)]
pub struct Slowness {
    pub one_way: Duration,
    pub bytes_per_second: u64,
}

/// One direction of the link, for all connections.
#[derive(Debug)]
pub(super) struct Lane {
    slowness: Slowness,
    /// When the last byte of those that were let in is out at the near end.
    free_at: Mutex<Instant>,
}

/// The bytes of one connection in one direction.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<(Instant, Vec<u8>)>,
    has_ended: bool,
}

impl Lane {
    pub(super) fn new(slowness: Slowness) -> Self {
        Self { slowness, free_at: Mutex::new(Instant::now()) }
    }

    /// When so many bytes that go in now are at the far end.
    fn due(&self, bytes: usize) -> Instant {
        let mut free_at = self.free_at.lock().expect("no thread of the proxy panics");
        let time = Duration::from_secs_f64(bytes as f64 / self.slowness.bytes_per_second as f64);
        *free_at = (*free_at).max(Instant::now()) + time;
        *free_at + self.slowness.one_way
    }

    fn room_chunks(&self) -> usize {
        let under_way = self.slowness.one_way.as_secs_f64() * self.slowness.bytes_per_second as f64;
        (under_way as usize + BUFFER_BYTES).div_ceil(CHUNK_BYTES)
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the proxy panics")
    }

    /// Lets bytes in, once there is room. They are dropped where the queue has ended.
    pub(super) fn push(&self, lane: &Lane, bytes: &[u8]) {
        let full = |state: &mut State| state.chunks.len() >= lane.room_chunks() && !state.has_ended;
        let mut state = self.changed.wait_while(self.state(), full).expect("no thread of the proxy panics");
        if !state.has_ended {
            state.chunks.push_back((lane.due(bytes.len()), bytes.to_vec()));
            self.changed.notify_all();
        }
    }

    /// Nothing more goes in; what is in comes out.
    pub(super) fn end(&self) {
        self.state().has_ended = true;
        self.changed.notify_all();
    }

    /// The next bytes, when they are due; `None` at the end.
    pub(super) fn pop(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            match state.chunks.front() {
                Some((due, _)) if *due <= now => {
                    self.changed.notify_all();
                    return state.chunks.pop_front().map(|(_, bytes)| bytes);
                }
                Some((due, _)) => {
                    let left = *due - now;
                    let waited = self.changed.wait_timeout(state, left);
                    state = waited.expect("no thread of the proxy panics").0;
                }
                None if state.has_ended => return None,
                None => state = self.changed.wait(state).expect("no thread of the proxy panics"),
            }
        }
    }
}
