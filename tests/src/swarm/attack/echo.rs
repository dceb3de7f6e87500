//! An echo server that does next to nothing, and a client of it that does what the good client does: what their times
//! lose under an attack, the machine has lost. What is uploaded is written to the disk of the served folder and flushed,
//! where that is known.

use super::good::{LIMIT, UPLOAD_BYTES};
use super::measure::{Client, Measure};
use super::plan::LARGE_BYTES;
use crate::dial::dial;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

const PING: u8 = b'p';
const DOWN: u8 = b'd';
const UP: u8 = b'u';

#[derive(Debug)]
pub(super) struct Echo {
    server: SocketAddr,
    stream: Option<TcpStream>,
    scratch: Vec<u8>,
}

impl Echo {
    /// Starts the server, which writes to this folder; it ends with the process.
    pub(super) fn start(folder: Option<PathBuf>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let server = listener.local_addr()?;
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let folder = folder.clone();
                // It ends with its client.
                std::thread::spawn(move || drop(serve(stream, folder.as_deref())));
            }
        });
        Ok(Self { server, stream: None, scratch: vec![0; 256 * 1024] })
    }

    fn ask(
        stream: &mut TcpStream,
        what: u8,
        sent: usize,
        received: usize,
        scratch: &mut [u8],
    ) -> io::Result<()> {
        stream.write_all(&[what])?;
        send(stream, sent, scratch)?;
        receive(stream, received, scratch)
    }
}

impl Client for Echo {
    fn perform(&mut self, measure: Measure) -> io::Result<()> {
        if self.stream.is_none() {
            self.stream = Some(dial(self.server, LIMIT)?);
        }
        let Self { server, stream: Some(stream), scratch } = self else { return Ok(()) };
        let result = match measure {
            Measure::Ls => Self::ask(stream, PING, 0, 1, scratch),
            Measure::Connect => Self::ask(&mut dial(*server, LIMIT)?, PING, 0, 1, scratch),
            Measure::Download => Self::ask(stream, DOWN, 0, LARGE_BYTES as usize, scratch),
            Measure::Upload => Self::ask(&mut dial(*server, LIMIT)?, UP, UPLOAD_BYTES, 1, scratch),
        };
        if result.is_err() {
            self.stream = None;
        }
        result
    }
}

fn serve(mut stream: TcpStream, folder: Option<&Path>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut scratch = vec![0; 256 * 1024];
    let mut what = [0];
    while stream.read(&mut what)? > 0 {
        match what[0] {
            DOWN => send(&mut stream, LARGE_BYTES as usize, &scratch)?,
            UP => {
                receive(&mut stream, UPLOAD_BYTES, &mut scratch)?;
                folder.map_or(Ok(()), |folder| store(folder, &scratch))?;
                send(&mut stream, 1, &scratch)?;
            }
            _ => send(&mut stream, 1, &scratch)?,
        }
    }
    Ok(())
}

/// What it takes that a file is not lost: its bytes, then its name.
fn store(folder: &Path, scratch: &[u8]) -> io::Result<()> {
    let path = folder.join("echo-upload.new");
    let mut file = File::create(&path)?;
    let mut left = UPLOAD_BYTES;
    while left > 0 {
        let most = left.min(scratch.len());
        file.write_all(&scratch[..most])?;
        left -= most;
    }
    file.sync_all()?;
    fs::rename(&path, folder.join("echo-upload"))?;
    File::open(folder)?.sync_all()
}

fn send(stream: &mut TcpStream, bytes: usize, scratch: &[u8]) -> io::Result<()> {
    let mut left = bytes;
    while left > 0 {
        let most = left.min(scratch.len());
        stream.write_all(&scratch[..most])?;
        left -= most;
    }
    Ok(())
}

fn receive(stream: &mut TcpStream, bytes: usize, scratch: &mut [u8]) -> io::Result<()> {
    let mut left = bytes;
    while left > 0 {
        let most = left.min(scratch.len());
        match stream.read(&mut scratch[..most])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => left -= count,
        }
    }
    Ok(())
}
