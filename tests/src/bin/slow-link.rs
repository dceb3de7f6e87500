//! Puts a slow link before a server: prints the address to connect to, and passes on until it is ended.

use clap::Parser;
use ferry_tests::proxy::{Proxy, Slowness};
use std::io::Read as _;
use std::net::SocketAddr;
use std::time::Duration;

/// A slow link to a Ferry server on this machine, until standard input ends
#[derive(Debug, Parser)]
struct Cli {
    /// Where the server listens for commands
    server: SocketAddr,
    /// Time of a byte from one end to the other
    #[arg(long, value_name = "MS", default_value_t = 10)]
    one_way_ms: u64,
    /// Rate in each direction
    #[arg(long, value_name = "MBIT", default_value_t = 100)]
    mbit_per_s: u64,
}

fn main() {
    let cli = Cli::parse();
    let slowness = Slowness {
        one_way: Duration::from_millis(cli.one_way_ms),
        bytes_per_second: cli.mbit_per_s.max(1) * 1_000_000 / 8,
    };
    let proxy = Proxy::slow(cli.server, slowness);
    println!("{}", proxy.control_address());
    // Nothing is read: its end is what is waited for.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
