//! Sees a tree through whose files may wait for a person's answer, and tells what became of it: one question, when all else
//! is done.

use crate::failure::Failure;
use crate::mirror::held::Held;
use crate::mirror::pool::{Job, Pool};
use crate::mirror::summary::{Direction, Summary};
use crate::mirror::{Asker, Options};
use crate::terminal::screen::Results;

/// A job that does not replace a file before it may.
pub(crate) trait Asking: Job {
    fn direction(&self) -> Direction;

    /// The files that wait.
    fn held(&self) -> &Held;

    /// They may be replaced.
    fn release(&mut self) -> Result<(), Failure>;

    /// They are to stay.
    fn keep_held(&mut self) -> Result<(), Failure>;

    fn clear_display(&mut self);
}

/// Does all of the job, unless it fails.
pub(crate) fn see_through(
    pool: &mut Pool,
    job: &mut impl Asking,
    asker: &mut Asker<'_>,
) -> Result<(), Failure> {
    run(pool, job)?;
    if job.held().files() == 0 {
        return Ok(());
    }
    let (receiving, sending) = match job.direction() {
        Direction::Down => ("here", "on the server"),
        Direction::Up => ("on the server", "here"),
    };
    if asker(&job.held().question(receiving, sending))? {
        job.release()?;
    } else {
        job.keep_held()?;
    }
    run(pool, job)
}

fn run(pool: &mut Pool, job: &mut impl Asking) -> Result<(), Failure> {
    let result = pool.run(job);
    job.clear_display();
    result
}

/// Tells what was done, or would be.
pub(crate) fn tell(
    options: &Options,
    direction: Direction,
    summary: &Summary,
    results: Results,
    result: Result<(), Failure>,
) -> Result<(), Failure> {
    if options.dry_run {
        result?;
        summary.tell_plan();
        return results.finish();
    }
    let told = summary.tell(direction, options.transfer.verify, result.is_ok());
    result.and(told)
}
