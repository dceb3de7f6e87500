//! What a process asks of the system. The [recorder] writes down its calls with their arguments, by `strace`, and makes a
//! [story] of them; the [injector] has one call fail, or kills the process there, which `strace` cannot do at a call that is
//! counted over all threads.

#[cfg(target_arch = "x86_64")]
pub mod injector;
pub mod recorder;
pub mod story;
