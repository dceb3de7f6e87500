//! What a check of `tests/ftp-clients` tells suppaftp to do: HOST PORT USER PASSWORD MODE VERB ARGUMENT...

use std::env;
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::str::FromStr;
use std::time::Duration;
use suppaftp::list::{File as Listed, ListParser, ParseError};
use suppaftp::types::FileType;
use suppaftp::{FtpStream, Mode};

type Outcome = Result<(), Box<dyn Error>>;

const ACTIVE_WAIT: Duration = Duration::from_secs(30);
/// What is read of a transfer before it is aborted.
const ABORT_AFTER_BYTES: usize = 1000;

fn main() -> Outcome {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [host, port, user, password, mode, verb, told @ ..] = arguments.as_slice() else {
        return Err("HOST PORT USER PASSWORD MODE VERB ARGUMENT...".into());
    };
    let mut ftp = FtpStream::connect((host.as_str(), port.parse()?))?;
    ftp.login(user, password)?;
    ftp.transfer_type(FileType::Binary)?;
    if mode == "active" {
        ftp = ftp.active_mode(ACTIVE_WAIT);
    } else {
        ftp.set_mode(if host.contains(':') { Mode::ExtendedPassive } else { Mode::Passive });
    }
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    perform(&mut ftp, verb, &told)?;
    ftp.quit()?;
    Ok(())
}

fn perform(ftp: &mut FtpStream, verb: &str, told: &[&str]) -> Outcome {
    match (verb, told) {
        ("login", []) => println!("{}", ftp.pwd()?),
        ("cd", [folder]) => {
            ftp.cwd(folder)?;
            println!("{}", ftp.pwd()?);
        }
        ("list", [folder]) => show(&ftp.list(Some(folder))?, Listed::from_str)?,
        ("mlsd", [folder]) => show(&ftp.mlsd(Some(folder))?, ListParser::parse_mlsd)?,
        ("get", [remote, local]) => get(ftp, remote, &mut File::create(local)?)?,
        ("get-from", [offset, remote, local]) => {
            ftp.resume_transfer(offset.parse()?)?;
            get(ftp, remote, &mut OpenOptions::new().append(true).open(local)?)?;
        }
        ("put", [local, remote]) => drop(ftp.put_file(remote, &mut File::open(local)?)?),
        ("put-from", [offset, local, remote]) => {
            let mut file = File::open(local)?;
            file.seek(SeekFrom::Start(offset.parse()?))?;
            ftp.resume_transfer(offset.parse()?)?;
            ftp.put_file(remote, &mut file)?;
        }
        ("append", [local, remote]) => drop(ftp.append_file(remote, &mut File::open(local)?)?),
        ("rename", [one, other]) => ftp.rename(one, other)?,
        ("delete", [path]) => ftp.rm(path)?,
        ("mkdir", [path]) => ftp.mkdir(path)?,
        ("rmdir", [path]) => ftp.rmdir(path)?,
        ("abort", [big, small, local]) => {
            let mut stream = ftp.retr_as_stream(big)?;
            stream.read_exact(&mut [0; ABORT_AFTER_BYTES])?;
            ftp.abort(stream)?;
            get(ftp, small, &mut File::create(local)?)?;
        }
        _ => return Err(format!("no such verb: {verb} {told:?}").into()),
    }
    Ok(())
}

fn get(ftp: &mut FtpStream, remote: &str, local: &mut File) -> Outcome {
    let mut stream = ftp.retr_as_stream(remote)?;
    io::copy(&mut stream, local)?;
    stream.finish()?;
    Ok(())
}

fn show(lines: &[String], parse: impl Fn(&str) -> Result<Listed, ParseError>) -> Outcome {
    for line in lines {
        let file = parse(line)?;
        println!("{} {}", file.name(), file.size());
    }
    Ok(())
}
