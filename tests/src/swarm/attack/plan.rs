//! What each attack does, as data. Opens nothing.

use clap::ValueEnum;
use std::time::Duration;

/// Size of the file that slow readers and the good client download.
pub const LARGE_BYTES: u64 = 20_000_000;
/// Files that are not in memory when they are asked for, and the size of each.
pub const COLD_FILES: usize = 200;
pub const COLD_BYTES: u64 = 4 << 20;
/// Entries of the large folder.
pub const LARGE_FOLDER_ENTRIES: usize = 10_000;
/// Apparent size of the sparse file.
pub const SPARSE_BYTES: u64 = 1 << 40;
const HALF_LINE_BYTES: usize = 33_000;
const PIPELINED: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Attack {
    /// Downloads that are read at 1 kB/s
    SlowReaders,
    /// Downloads that are not read
    StoppedReaders,
    /// Pipelined `ls`, read at 2 MB/s
    SlowListers,
    /// Pipelined `ls`, read at 1 kB/s
    SlowestListers,
    /// Command lines at a byte per second
    DribbledLines,
    /// Uploads at a few bytes per second
    DribbledUploads,
    /// Connections to both ports, closed at once
    ConnectStorm,
    /// Connections to both ports, reset at once
    ResetStorm,
    /// 300 data connections without a ticket, renewed
    Unticketed300,
    /// 5,000 data connections without a ticket, renewed
    Unticketed5000,
    /// Data connections with wrong tickets
    WrongTickets,
    /// Lines without end
    EndlessLines,
    /// Lines of 33 kB that are held before their end
    HalfLines,
    /// 1,500 sessions with 64 pipelined `help` each, again and again
    Help1500,
    /// 15,000 sessions with 64 pipelined `help` each, again and again
    Help15000,
    /// Pipelined downloads of a file that is not there
    RefusedDownloads,
    /// Downloads of files that are not in memory
    ColdReaders,
    /// Uploads at full speed
    FullUploaders,
    /// Listings of a large folder
    LargeListings,
    /// Clients that ask for the digest of a huge file and leave
    Sums,
    /// Uploads that are announced, and nothing of them sent
    Announced,
    /// All sessions, from one host
    AllSessions,
    /// All data connections, from one host, at a trickle
    AllData,
    /// 10,000 idle sessions
    Idle,
}

/// What an attack consists of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Connections that are kept open, without the data connections of sessions; those that end are renewed.
    pub members: usize,
    pub connects_per_second: usize,
    /// Over how many addresses the members are spread.
    pub hosts: u8,
    pub port: Port,
    pub flow: Flow,
    pub leave: Leave,
    /// What a session does with the data connections that the server offers.
    pub data: Option<Flow>,
    /// The cold files are driven out of memory all the time.
    pub drops_cache: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    Control,
    Data,
    /// One member here, the next there.
    Both,
}

/// What goes over a connection. `{n}` in text is the number of the member.
#[derive(Debug, Clone)]
pub struct Flow {
    pub send: Send,
    pub read: Read,
}

#[derive(Debug, Clone)]
pub enum Send {
    Nothing,
    Once(Vec<u8>),
    /// Again when all of it has been answered.
    Answered {
        burst: Vec<u8>,
        answers: usize,
    },
    /// Again and again, as fast as it is taken.
    Endless(Vec<u8>),
    /// Again and again at this pace.
    Slowly {
        bytes: Vec<u8>,
        bytes_per_second: usize,
    },
}

#[derive(Debug, Clone, Copy)]
pub enum Read {
    All,
    BytesPerSecond(usize),
    Nothing,
}

#[derive(Debug, Clone, Copy)]
pub enum Leave {
    Never,
    AtOnce { reset: bool },
    After(Duration),
}

impl Attack {
    /// The name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether it needs what [`super::fixtures`] prepares in the served folder.
    pub fn needs_fixtures(self) -> bool {
        matches!(self, Self::ColdReaders | Self::LargeListings | Self::Sums)
    }

    pub fn plan(self) -> Plan {
        match self {
            Self::SlowReaders => readers(Read::BytesPerSecond(1000)),
            Self::StoppedReaders => readers(Read::Nothing),
            Self::ColdReaders => Plan {
                drops_cache: true,
                ..again_and_again(COLD_FILES, "download attack/cold{n}\n", reading(Read::All))
            },
            Self::FullUploaders => {
                let data = Flow { send: Send::Endless(vec![b'u'; 64 * 1024]), read: Read::All };
                again_and_again(100, "upload attack/upload{n} 1000000\n", data)
            }
            Self::DribbledUploads => once(500, "upload attack/dribble{n} 100000000\n", trickle(20)),
            Self::Announced => once(500, "upload attack/announced{n} 100000000\n", reading(Read::All)),
            // Downloads: a disk has not the space that so many uploads would announce.
            Self::AllData => {
                Plan { hosts: 1, ..once(2500, "download attack/large\n", reading(Read::BytesPerSecond(300))) }
            }
            Self::SlowListers => listers(20, Read::BytesPerSecond(2_000_000)),
            Self::SlowestListers => listers(200, Read::BytesPerSecond(1000)),
            Self::DribbledLines => {
                let send = Send::Slowly { bytes: b"ls\n".to_vec(), bytes_per_second: 1 };
                sessions(2000, Flow { send, read: Read::All })
            }
            Self::ConnectStorm => storm(false),
            Self::ResetStorm => storm(true),
            Self::Unticketed300 => unticketed(300),
            Self::Unticketed5000 => unticketed(5000),
            Self::WrongTickets => {
                let send = Send::Once([&[b'0'; 49][..], b"\n"].concat());
                Plan { flow: Flow { send, read: Read::All }, ..unticketed(100) }
            }
            Self::EndlessLines => {
                sessions(2000, Flow { send: Send::Endless(vec![b'x'; 1024]), read: Read::All })
            }
            Self::HalfLines => {
                sessions(15_000, Flow { send: Send::Once(vec![b'x'; HALF_LINE_BYTES]), read: Read::All })
            }
            Self::Help1500 => pipelines(1500, "help\n"),
            Self::Help15000 => pipelines(15_000, "help\n"),
            Self::RefusedDownloads => pipelines(1000, "download nothing\n"),
            Self::LargeListings => {
                let send = Send::Answered { burst: b"ls attack/big\n".to_vec(), answers: 1 };
                sessions(100, Flow { send, read: Read::All })
            }
            Self::Sums => Plan {
                leave: Leave::After(Duration::from_millis(300)),
                ..sessions(32, Flow { send: Send::Once(b"sum attack/sparse\n".to_vec()), read: Read::All })
            },
            Self::AllSessions => {
                Plan { hosts: 1, ..sessions(16_000, Flow { send: Send::Nothing, read: Read::All }) }
            }
            Self::Idle => sessions(10_000, Flow { send: Send::Nothing, read: Read::All }),
        }
    }
}

impl Plan {
    /// The same with fewer members.
    pub fn scaled(self, members: usize) -> Self {
        Self { members: self.members.min(members), ..self }
    }
}

fn sessions(members: usize, flow: Flow) -> Plan {
    Plan {
        members,
        connects_per_second: 10_000,
        hosts: 8,
        port: Port::Control,
        flow,
        leave: Leave::Never,
        data: None,
        drops_cache: false,
    }
}

/// Sessions that ask for one transfer each.
fn once(members: usize, command: &str, data: Flow) -> Plan {
    let send = Send::Once(command.as_bytes().to_vec());
    Plan { data: Some(data), ..sessions(members, Flow { send, read: Read::All }) }
}

/// Sessions that ask for the next transfer when one is over.
fn again_and_again(members: usize, command: &str, data: Flow) -> Plan {
    let send = Send::Answered { burst: command.as_bytes().to_vec(), answers: 1 };
    Plan { data: Some(data), ..sessions(members, Flow { send, read: Read::All }) }
}

fn readers(read: Read) -> Plan {
    once(1900, "download attack/large\n", reading(read))
}

fn reading(read: Read) -> Flow {
    Flow { send: Send::Nothing, read }
}

fn trickle(bytes_per_second: usize) -> Flow {
    Flow { send: Send::Slowly { bytes: b"trickle".to_vec(), bytes_per_second }, read: Read::All }
}

fn listers(members: usize, read: Read) -> Plan {
    sessions(members, Flow { send: Send::Endless(b"ls attack\n".repeat(PIPELINED)), read })
}

fn pipelines(members: usize, command: &str) -> Plan {
    let send = Send::Answered { burst: command.repeat(PIPELINED).into_bytes(), answers: PIPELINED };
    sessions(members, Flow { send, read: Read::All })
}

fn storm(reset: bool) -> Plan {
    let plan = sessions(64, Flow { send: Send::Nothing, read: Read::Nothing });
    Plan { port: Port::Both, leave: Leave::AtOnce { reset }, ..plan }
}

fn unticketed(members: usize) -> Plan {
    let plan = sessions(members, Flow { send: Send::Nothing, read: Read::All });
    Plan { port: Port::Data, leave: Leave::After(Duration::from_secs(1)), ..plan }
}
