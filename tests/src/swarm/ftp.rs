//! Many FTP clients from one process: all log in and stay, and threads have them do things in no order, each client with a
//! file of its own whose bytes nobody else has. What a client gets that is not what it should be ends the run.

use super::raise_descriptor_limit;
use crate::content::Content;
use crate::ftp::{Ftp, Reply};
use crate::process::Process;
use crate::random::Random;
use crate::wait::WAIT_LIMIT;
use clap::Parser;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// Descriptors that are no control connection.
const RESERVED_DESCRIPTORS: usize = 64;
/// Largest file, so that some take many writes and most few.
const FILE_MAX_BYTES: u64 = 200_000;

/// Logs many FTP clients in from one process, has them transfer in no order, and verifies every byte
///
/// Each uploads to a name of its own (`swarm-ftp-N`), reads it back, breaks uploads off, aborts, leaves ports
/// unused, and lists. Exit status: 0 if all was right, 1 if anything was not.
#[derive(Debug, Clone, Parser)]
pub struct Config {
    /// Host of the server
    #[arg(default_value = "localhost")]
    host: String,
    /// FTP port of the server
    #[arg(default_value_t = 2121)]
    port: u16,
    /// How many clients, all logged in at once
    #[arg(long, default_value_t = 100)]
    clients: u32,
    /// How many things they do in all
    #[arg(long, default_value_t = 1000)]
    operations: u32,
    /// How many of them do something at once
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
    /// The name that they log in with
    #[arg(long, default_value = "somebody")]
    user: String,
    /// Their password
    #[arg(long, default_value = "something")]
    password: String,
    /// When all are in, say so and stay until the end of standard input
    #[arg(long)]
    hold: bool,
    /// Tell how much memory this process has grown by for each session
    #[arg(long, value_name = "PID")]
    server: Option<u32>,
    /// Makes the order and the contents differ between runs
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What happened.
#[derive(Debug)]
pub struct Report {
    clients: u32,
    operations: u32,
    logging_in: Duration,
    working: Duration,
    grown_bytes: Option<u64>,
}

/// One client, and what its file holds at the server.
struct Client {
    ftp: Ftp,
    name: String,
    seed: u64,
    stored: Option<Content>,
}

/// Runs the clients to the end. A client that gets something wrong ends the process by a panic that says what.
pub fn run(config: &Config) -> io::Result<Report> {
    let address =
        (config.host.as_str(), config.port).to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let most = raise_descriptor_limit()?.saturating_sub(RESERVED_DESCRIPTORS);
    if config.clients as usize > most {
        return Err(io::Error::other(format!("no more than {most} descriptors are left for clients")));
    }
    let before_bytes = config.server.map(|pid| Process::new(pid).resident_bytes());
    let begun = Instant::now();
    // Between logging in and the first operation, all are there and idle.
    let (all_in, go) = (Barrier::new(config.threads as usize + 1), Barrier::new(config.threads as usize + 1));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..config.threads)
            .map(|thread| {
                let (all_in, go) = (&all_in, &go);
                scope.spawn(move || {
                    let mut clients = log_in(config, address, thread);
                    all_in.wait();
                    go.wait();
                    work(config, thread, &mut clients);
                })
            })
            .collect();
        all_in.wait();
        let logging_in = begun.elapsed();
        let grown_bytes = before_bytes
            .zip(config.server)
            .map(|(before, pid)| Process::new(pid).resident_bytes().saturating_sub(before));
        if config.hold {
            println!("{} clients are in", config.clients);
            // Whatever its end is, it is one.
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
        }
        let begun = Instant::now();
        go.wait();
        let wrong = threads.into_iter().filter_map(|thread| thread.join().err()).count();
        let working = begun.elapsed();
        let Config { clients, operations, .. } = *config;
        let report = Report { clients, operations, logging_in, working, grown_bytes };
        if wrong == 0 { Ok(report) } else { Err(io::Error::other("a client did not get what it should")) }
    })
}

/// The clients of one thread.
fn log_in(config: &Config, address: SocketAddr, thread: u32) -> Vec<Client> {
    (thread..config.clients)
        .step_by(config.threads as usize)
        .map(|number| Client {
            ftp: Ftp::try_login_as(address, WAIT_LIMIT, &config.user, &config.password)
                .expect("the server lets them in"),
            name: format!("swarm-ftp-{number}"),
            seed: config.seed << 32 | u64::from(number),
            stored: None,
        })
        .collect()
}

fn work(config: &Config, thread: u32, clients: &mut [Client]) {
    let mut random = Random::new(config.seed << 16 | u64::from(thread));
    let operations = (thread..config.operations).step_by(config.threads as usize).count();
    if clients.is_empty() {
        return;
    }
    for _ in 0..operations {
        let which = usize::try_from(random.below(clients.len() as u64)).expect("an index");
        clients[which].act(&mut random);
    }
}

impl Client {
    fn act(&mut self, random: &mut Random) {
        match random.below(7) {
            0 | 1 => self.upload(random),
            2 | 3 => self.download(),
            4 => self.break_an_upload_off(random),
            5 => {
                // A port that nothing comes to.
                self.ftp.passive_address();
            }
            _ => self.abort_a_download(),
        }
    }

    fn upload(&mut self, random: &mut Random) {
        let content = self.next_content(random);
        let reply = self.ftp.upload(format!("STOR {}", self.name), &content.bytes());
        expect(&reply, 226);
        self.stored = Some(content);
    }

    fn download(&mut self) {
        let (bytes, reply) = self.ftp.receive(format!("RETR {}", self.name));
        match self.stored {
            Some(content) => {
                expect(&reply, 226);
                assert_eq!(content.first_mismatch(0, &bytes), None, "{} has other bytes", self.name);
                assert_eq!(bytes.len() as u64, content.size_bytes, "{}", self.name);
            }
            None => drop(reply),
        }
    }

    /// The end of the data connection is no proper one: what was there stays.
    fn break_an_upload_off(&mut self, random: &mut Random) {
        let content = self.next_content(random);
        let mut data = self.ftp.passive();
        expect(&self.ftp.command(format!("STOR {}", self.name)), 150);
        // The server may end it first.
        let _ = data.write_all(&content.bytes());
        if random.one_in(2) {
            Ftp::reset(data);
            expect(&self.ftp.reply(), 426);
        } else {
            self.ftp.send("ABOR");
            expect(&self.ftp.reply(), 426);
            expect(&self.ftp.reply(), 226);
        }
    }

    /// The download may be whole before the server hears of it.
    fn abort_a_download(&mut self) {
        let mut data = self.ftp.passive();
        if self.ftp.command(format!("RETR {}", self.name)).code != 150 {
            return;
        }
        self.ftp.send("ABOR");
        let mut bytes = Vec::new();
        let _ = data.read_to_end(&mut bytes);
        let first = self.ftp.reply();
        assert!([426, 226].contains(&first.code), "{first:?}");
        let second = self.ftp.reply();
        assert!([225, 226].contains(&second.code), "{second:?}");
        if let Some(content) = self.stored {
            assert_eq!(content.first_mismatch(0, &bytes), None, "{} has other bytes", self.name);
        }
    }

    fn next_content(&mut self, random: &mut Random) -> Content {
        self.seed = self.seed.wrapping_add(1 << 48);
        let most = *random.pick(&[1, 4096, FILE_MAX_BYTES]);
        Content::new(self.seed, random.below(most + 1))
    }
}

#[track_caller]
fn expect(reply: &Reply, code: u16) {
    assert_eq!(reply.code, code, "{reply:?}");
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (logging_in, working) = (self.logging_in.as_secs_f64(), self.working.as_secs_f64());
        let logins_per_s = f64::from(self.clients) / logging_in;
        writeln!(
            formatter,
            "{} clients logged in within {logging_in:.2} s, {logins_per_s:.0}/s",
            self.clients
        )?;
        if let Some(bytes) = self.grown_bytes {
            let each = bytes / u64::from(self.clients.max(1));
            writeln!(formatter, "the server has grown by {bytes} bytes, {each} a session")?;
        }
        writeln!(
            formatter,
            "{} operations within {working:.2} s, {:.0}/s, and every byte was right",
            self.operations,
            f64::from(self.operations) / working
        )
    }
}
