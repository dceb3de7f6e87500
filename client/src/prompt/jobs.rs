//! The transfers of the prompt that are, or were, in the background. Bounded in number; each has a number, which is not given
//! again.

pub(crate) mod job;
pub(crate) mod messenger;
pub(crate) mod wording;

use crate::failure::Failure;
use crate::limits::{JOBS_ENDED_SHOWN_MAX, JOBS_MAX};
use crate::prompt::jobs::job::{Job, Order};
use crate::prompt::jobs::messenger::Messenger;
use crate::prompt::words::Word;
use ferry_common::wire::words;
use std::collections::BTreeMap;
use std::sync::Arc;

/// See the module's documentation.
pub(crate) struct Jobs {
    messenger: Arc<Messenger>,
    by_number: BTreeMap<usize, Job>,
    last_number: usize,
}

impl Jobs {
    pub(crate) fn new(messenger: Arc<Messenger>) -> Self {
        Self { messenger, by_number: BTreeMap::new(), last_number: 0 }
    }

    pub(crate) fn messenger(&self) -> &Arc<Messenger> {
        &self.messenger
    }

    /// Begins a transfer.
    pub(crate) fn start(&self, order: Order) -> Result<Job, Failure> {
        Job::start(order, self.last_number + 1, &self.messenger)
    }

    /// Refuses one more where there are too many.
    pub(crate) fn check_room(&self) -> Result<(), Failure> {
        if self.running().len() < JOBS_MAX {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "{JOBS_MAX} transfers are in the background, and more cannot be; wait for one, or cancel one (jobs lists them)"
        )))
    }

    /// Takes one up that is in the background.
    pub(crate) fn keep(&mut self, job: Job) {
        self.last_number = self.last_number.max(job.number());
        self.by_number.insert(job.number(), job);
        let ended: Vec<usize> =
            self.by_number.iter().filter(|(_, job)| job.has_ended()).map(|(number, _)| *number).collect();
        for number in ended.iter().rev().skip(JOBS_ENDED_SHOWN_MAX) {
            self.by_number.remove(number);
        }
    }

    pub(crate) fn forget(&mut self, job: &Job) {
        self.by_number.remove(&job.number());
    }

    /// Those that have not ended.
    pub(crate) fn running(&self) -> Vec<Job> {
        self.by_number.values().filter(|job| !job.has_ended()).cloned().collect()
    }

    /// Those that are meant by the words behind a command: numbers, or `all`, which no words are too.
    pub(crate) fn named(&self, words: &[Word]) -> Result<Vec<Job>, Failure> {
        let running = self.running();
        if words.is_empty() || matches!(words, [word] if word.bytes() == b"all") {
            return if running.is_empty() {
                Err(Failure::Usage("No transfer is in the background".to_owned()))
            } else {
                Ok(running)
            };
        }
        words.iter().map(|word| self.find(word)).collect()
    }

    /// `1`, or `%1` as in a shell.
    fn find(&self, word: &Word) -> Result<Job, Failure> {
        let text = String::from_utf8_lossy(word.bytes());
        let number = text.strip_prefix('%').unwrap_or(&text).parse::<usize>().ok();
        number.and_then(|number| self.by_number.get(&number).cloned()).ok_or_else(|| {
            let shown = words::display(word.bytes());
            Failure::Usage(format!("There is no transfer {shown} in the background; jobs lists them"))
        })
    }

    /// A line for each, in so many columns.
    pub(crate) fn lines(&self, columns: usize) -> Vec<String> {
        let jobs = self.by_number.values();
        jobs.map(|job| wording::line(job.number(), job.title(), &job.state(), columns)).collect()
    }
}
