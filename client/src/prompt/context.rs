//! What the commands of one run share: the place, how transfers are made, and a way to ask the
//! person.

use crate::failure::Failure;
use crate::prompt::local_place::LocalPlace;
use crate::prompt::place::Place;
use crate::terminal::palette::Palette;
use crate::transfer::TransferOptions;

/// See the module's documentation.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) transfer: TransferOptions,
    pub(crate) palette: Palette,
    /// What is told of files is told to a program.
    pub(crate) json: bool,
    pub(crate) place: Place,
    pub(crate) local: LocalPlace,
    /// Commands do not come from standard input, so that a file can.
    pub(crate) stdin_is_free: bool,
}

impl Context {
    pub(crate) fn new(transfer: TransferOptions, palette: Palette, json: bool, stdin_is_free: bool) -> Self {
        let (place, local) = (Place::default(), LocalPlace::default());
        Self { transfer, palette, json, place, local, stdin_is_free }
    }
}

/// Asks the person in the middle of a command.
pub(crate) trait Asker {
    fn is_person(&self) -> bool;

    /// The answer; `None` where no person can be asked.
    fn ask(&mut self, question: &str) -> Result<Option<String>, Failure>;
}

/// There is no person.
pub(crate) struct Nobody;

impl Asker for Nobody {
    fn is_person(&self) -> bool {
        false
    }

    fn ask(&mut self, _question: &str) -> Result<Option<String>, Failure> {
        Ok(None)
    }
}
