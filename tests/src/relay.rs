//! A relay before the control port of a server that counts the commands which go through it by their verbs, and can make the
//! server look older than it is: a verb that it is not to know is answered with `unknown-command`. Data connections go past it.
//!
//! Its threads end with the connections, and those with the relay's clients and the server.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// See the module's documentation.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    commands: Arc<Mutex<HashMap<String, usize>>>,
}

impl Relay {
    pub fn before(server: SocketAddr) -> Self {
        Self::without(server, None)
    }

    /// The server is one of before this verb.
    pub fn older_than(server: SocketAddr, verb: &'static str) -> Self {
        Self::without(server, Some(verb))
    }

    fn without(server: SocketAddr, unknown: Option<&'static str>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let commands = Arc::new(Mutex::new(HashMap::new()));
        let counts = Arc::clone(&commands);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(server)) else { continue };
                let clone = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
                let (mut replies, mut told) = (clone(&server), clone(&client));
                let counts = Arc::clone(&counts);
                std::thread::spawn(move || pass_commands(&client, &server, unknown, &counts));
                std::thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(count @ 1..) = replies.read(&mut buffer)
                        && told.write_all(&buffer[..count]).is_ok()
                    {}
                    let _ = told.shutdown(Shutdown::Both);
                });
            }
        });
        Self { address, commands }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many commands of this verb have come.
    pub fn count(&self, verb: &str) -> usize {
        self.commands.lock().expect("no thread of the relay panics").get(verb).copied().unwrap_or(0)
    }
}

fn pass_commands(
    mut client: &TcpStream,
    mut server: &TcpStream,
    unknown: Option<&str>,
    counts: &Mutex<HashMap<String, usize>>,
) {
    let mut lines = BufReader::new(client);
    let mut line = Vec::new();
    while let Ok(1..) = lines.read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(&line);
        let verb = text.split_whitespace().next().unwrap_or_default().to_owned();
        let is_unknown = unknown == Some(verb.as_str());
        *counts.lock().expect("no thread of the relay panics").entry(verb).or_default() += 1;
        let passed = if is_unknown {
            client.write_all(b"err unknown-command unknown command; try help\n")
        } else {
            server.write_all(&line)
        };
        if passed.is_err() {
            break;
        }
        line.clear();
    }
    let _ = server.shutdown(Shutdown::Write);
}
