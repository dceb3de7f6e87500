//! The steps of a run, one after the other. What may be moved at once is moved, then what a person agrees to have replaced.
//! What only the receiving end has is removed, where that is wanted. Last of all the folders get their times, as each change
//! in one sets its time, too. What became of it is told.

use crate::failure::Failure;
use crate::mirror::held::{Held, question_of};
use crate::mirror::plan::Planned;
use crate::mirror::pool::{Job, Pool};
use crate::mirror::report::Report;
use crate::mirror::summary::{Direction, Summary};
use crate::mirror::surplus::{self, Ends};
use crate::mirror::{Answer, Asker, Options, spool_failed};
use crate::terminal::screen::{self, Results};
use std::io;

/// A job that moves files, and does not replace one before it may.
pub(crate) trait Steps: Job {
    fn direction(&self) -> Direction;

    /// The files that wait.
    fn held(&mut self) -> &mut Held;

    /// One of them may replace what has its name.
    fn release(&mut self, file: &Planned) -> io::Result<()>;

    /// One of them is left as it is, which is told.
    fn leave(&mut self, file: &Planned);

    /// The job is broken off: ends what can be ended without the server.
    fn settle(&mut self, pool: &mut Pool) -> Result<(), Failure>;

    /// Something beside the job changes the folders of the receiving end.
    fn expect_changes(&mut self);

    /// Gives the folders their times: nothing changes in them any more. Tells what a person is to know of that.
    fn close(&mut self, pool: &mut Pool) -> Result<Option<String>, Failure>;

    fn clear_display(&mut self);

    fn outcome(&mut self) -> (&mut Summary, &mut Results);
}

/// Does all of the job, and tells what became of it. Where the ends are given, the one that receives is made like the other.
pub(crate) fn see_through(
    options: &Options,
    pool: &mut Pool,
    job: &mut impl Steps,
    ends: Option<&mut Ends>,
    asker: &mut Asker<'_>,
) -> Result<(), Failure> {
    let mut moved = move_files(pool, job, asker);
    if moved.is_err() {
        job.settle(pool)?;
    }
    let Some(ends) = ends else {
        if moved.is_ok() {
            moved = close(pool, job).map(|remark| job.outcome().0.remark(remark));
        }
        return tell(options, job, moved);
    };
    let is_moved = moved.is_ok();
    // Before the question, for which the person is to know that all was moved.
    let removed = match tell(options, job, moved) {
        Ok(()) => surplus::remove(options, ends, pool, asker),
        Err(failure) => {
            screen::message("Nothing is removed, as not everything could be moved or compared");
            Err(failure)
        }
    };
    if !is_moved || matches!(removed, Err(Failure::ConnectionLost(_) | Failure::Violation(_))) {
        return removed;
    }
    if ends.have_changed() {
        job.expect_changes();
    }
    let closed = close(pool, job).map(|remark| remark.iter().for_each(|remark| screen::message(remark)));
    removed.and(closed)
}

fn move_files(pool: &mut Pool, job: &mut impl Steps, asker: &mut Asker<'_>) -> Result<(), Failure> {
    run(pool, job)?;
    if job.held().files() == 0 {
        return Ok(());
    }
    let (receiving, sending) = match job.direction() {
        Direction::Down => ("here", "on the server"),
        Direction::Up => ("on the server", "here"),
    };
    let mut answer = asker(&job.held().question(receiving, sending))?;
    while let Some(file) = job.held().pop().map_err(spool_failed)? {
        let mut own = answer;
        if answer == Answer::Each {
            own = asker(&question_of(&file, receiving, sending))?;
            if own == Answer::All {
                answer = Answer::All;
            }
        }
        match own {
            Answer::Yes | Answer::All => job.release(&file).map_err(spool_failed)?,
            Answer::No | Answer::Each => job.leave(&file),
        }
    }
    run(pool, job)
}

fn run(pool: &mut Pool, job: &mut impl Steps) -> Result<(), Failure> {
    let result = pool.run(job);
    job.clear_display();
    result
}

fn close(pool: &mut Pool, job: &mut impl Steps) -> Result<Option<String>, Failure> {
    let result = job.close(pool);
    job.clear_display();
    result
}

/// Tells what was done, or would be.
fn tell(options: &Options, job: &mut impl Steps, result: Result<(), Failure>) -> Result<(), Failure> {
    let direction = job.direction();
    let (summary, results) = job.outcome();
    if options.dry_run {
        result?;
        if options.json {
            results.line(&Report::of(summary, direction, true).line())?;
        }
        results.finish()?;
        return summary.tell_plan();
    }
    let told = summary.tell(direction, options.transfer.verify, result.is_ok());
    if options.json {
        results.line(&Report::of(summary, direction, result.is_ok()).line())?;
        results.finish()?;
    }
    result.and(told)
}
