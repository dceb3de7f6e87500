//! The flags of `swarm attack` and what they mean. Opens nothing.

use super::plan::Attack;
use clap::Args;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Attacks a server in many ways, one after the other, and prints what a good client has of it meanwhile.
///
/// Each line gives the good client's times in milliseconds before an attack (p50, p99) and during it (p50, p99, the
/// longest), how many times longer p99 has become, and the same of an echo server beside it, which tells what the machine
/// itself loses. `!` marks what has become more than twice as long, and by more than the echo. With few samples p99 is
/// the longest of them. It judges nothing: the exit status is 0 when all attacks were run.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Run every attack
    #[arg(long, conflicts_with = "only", required_unless_present_any = ["only", "list"])]
    pub all: bool,
    /// Run this attack; may be repeated
    #[arg(long, value_name = "ATTACK")]
    pub only: Vec<Attack>,
    /// List the attacks
    #[arg(long)]
    pub list: bool,
    /// Start a server on loopback in a folder of its own, and attack that
    #[arg(long, conflicts_with_all = ["host", "port", "folder"])]
    pub serve: bool,
    /// The `ferryd` to start, instead of the one beside `swarm`
    #[arg(long, value_name = "PATH", requires = "serve")]
    pub ferryd: Option<PathBuf>,
    /// Where the folder of the server that is started is made
    #[arg(long, value_name = "DIR", requires = "serve")]
    pub within: Option<PathBuf>,
    /// The folder that the attacked server serves; without it, attacks that need large files in it are left out
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// How long the good client measures during each attack; before it, half as long
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub seconds: u64,
    /// The address that the attackers come from; most attacks use the seven behind it as well. Without it they come from
    /// 127.0.0.2 where the server is on loopback, and else from the address of the good client
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<IpAddr>,
    /// Attack from the address of the good client, whose session is there before
    #[arg(long, conflicts_with = "from")]
    pub same_address: bool,
    /// Host of the server
    #[arg(default_value = "localhost")]
    pub host: String,
    /// Control port of the server
    #[arg(default_value_t = ferry_common::limits::CONTROL_PORT)]
    pub port: u16,
}

/// One attack, carried out by a process of its own until the end of its standard input.
#[derive(Debug, Clone, Args)]
pub struct CrowdConfig {
    pub attack: Attack,
    pub control: SocketAddr,
    pub data: SocketAddr,
    #[arg(long)]
    pub from: Option<IpAddr>,
    #[arg(long)]
    pub folder: Option<PathBuf>,
}
