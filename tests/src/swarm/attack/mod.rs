//! Attacks on a server, and what a good client has of it meanwhile. `swarm attack` is a front of [`run`].
//!
//! Each attack is a [`plan::Plan`] that a [`crowd::Crowd`] carries out in a process of its own, while one good client
//! measures, in turn with a client of an echo server, which shows what the machine itself loses.

pub mod cli;
mod cost;
pub mod crowd;
mod crowd_process;
mod echo;
pub mod fixtures;
mod good;
mod measure;
mod member;
pub mod plan;
mod stage;
mod table;

pub use crowd_process::attack;
pub use stage::run;
