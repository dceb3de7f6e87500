//! The dialect of FTP: alone, before a small world of files that answers what it asks, and in a session.

#![allow(clippy::unwrap_used)]

mod bytes;
mod clients;
mod commands;
mod desk;
mod listings;
mod refusals;
mod sessions;
mod transfers;
