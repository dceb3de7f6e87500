//! A relay before the control port of a server that counts the commands which go through it by their verbs, and can make the
//! server look older than it is: a verb that it is not to know is answered with `unknown-command`. Data connections go past it.
//!
//! Its threads end with the connections, and those with the relay's clients and the server.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

type Meanwhile = Box<dyn FnOnce() + Send>;

/// See the module's documentation.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    commands: Arc<Mutex<HashMap<String, usize>>>,
}

/// What else a relay does to what passes.
#[derive(Default)]
struct Ways {
    /// The server does not know this verb.
    unknown: Option<&'static str>,
    /// The server does not say that it knows conditions.
    hides_conditions: bool,
    /// To be done once, before the first command that begins so goes on.
    meanwhile: Mutex<Option<(String, Meanwhile)>>,
}

impl Relay {
    pub fn before(server: SocketAddr) -> Self {
        Self::with(server, Ways::default())
    }

    /// Something happens right before the server gets the first line that begins so.
    pub fn with_meanwhile(
        server: SocketAddr,
        begins: &str,
        meanwhile: impl FnOnce() + Send + 'static,
    ) -> Self {
        let meanwhile = Mutex::new(Some((begins.to_owned(), Box::new(meanwhile) as Box<_>)));
        Self::with(server, Ways { meanwhile, ..Ways::default() })
    }

    /// The server is one of before the conditions of commands.
    pub fn older_than_conditions(server: SocketAddr) -> Self {
        Self::with(server, Ways { hides_conditions: true, ..Ways::default() })
    }

    /// The server is one of before this verb.
    pub fn older_than(server: SocketAddr, verb: &'static str) -> Self {
        Self::with(server, Ways { unknown: Some(verb), ..Ways::default() })
    }

    fn with(server: SocketAddr, ways: Ways) -> Self {
        let ways = Arc::new(ways);
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
                let hides_conditions = ways.hides_conditions;
                let ways = Arc::clone(&ways);
                std::thread::spawn(move || pass_commands(&client, &server, &ways, &counts));
                std::thread::spawn(move || {
                    if hides_conditions {
                        pass_replies_of_before(replies, &mut told);
                        return;
                    }
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
    ways: &Ways,
    counts: &Mutex<HashMap<String, usize>>,
) {
    let mut lines = BufReader::new(client);
    let mut line = Vec::new();
    while let Ok(1..) = lines.read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(&line);
        let verb = text.split_whitespace().next().unwrap_or_default().to_owned();
        let is_unknown = ways.unknown == Some(verb.as_str());
        let mut meanwhile = ways.meanwhile.lock().expect("no thread of the relay panics");
        if let Some((_, act)) = meanwhile.take_if(|(begins, _)| text.starts_with(begins.as_str())) {
            act();
        }
        drop(meanwhile);
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

fn pass_replies_of_before(replies: TcpStream, told: &mut TcpStream) {
    let mut lines = BufReader::new(replies);
    let mut line = Vec::new();
    while let Ok(1..) = lines.read_until(b'\n', &mut line) {
        if line != b"(hello) conditions yes\n" && told.write_all(&line).is_err() {
            break;
        }
        line.clear();
    }
    let _ = told.shutdown(Shutdown::Both);
}
