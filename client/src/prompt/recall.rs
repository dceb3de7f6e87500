//! The arrow keys in the history: what was typed is the beginning to look for. A line that is a former one as a whole
//! is a step on the way through all of them.

use rustyline::{Cmd, ConditionalEventHandler, Event, EventContext, RepeatCount};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The lines of the history, shared with the keys.
#[derive(Clone, Default)]
pub(crate) struct Former(Arc<Mutex<HashSet<String>>>);

impl Former {
    pub(crate) fn note(&self, line: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(line.to_owned());
    }

    fn has(&self, line: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(line)
    }
}

/// One of the two keys.
pub(crate) enum Recall {
    Up(Former),
    Down(Former),
}

impl ConditionalEventHandler for Recall {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        let (Self::Up(former) | Self::Down(former)) = self;
        let (line, cursor) = (context.line(), context.pos());
        let is_beginning = cursor > 0 && !(cursor == line.len() && former.has(line));
        Some(match self {
            Self::Up(_) if is_beginning => Cmd::HistorySearchBackward,
            Self::Up(_) => Cmd::LineUpOrPreviousHistory(1),
            Self::Down(_) if is_beginning => Cmd::HistorySearchForward,
            Self::Down(_) => Cmd::LineDownOrNextHistory(1),
        })
    }
}
