//! Whole downloads and uploads over a [`Conversation`], in bounded memory. Panics on what the protocol does
//! not allow; a refusal is a result.

use crate::content::Content;
use crate::conversation::Conversation;
use crate::server::Server;
use crate::session::{Begun, Refusal};
use ferry_common::limits::EAGER_MAX_BYTES;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::{Command, UploadOptions};
use std::io::{Read, Write};

const CHUNK_BYTES: usize = 256 * 1024;

impl Conversation {
    /// Downloads a file into memory.
    #[track_caller]
    pub fn download(&mut self, name: impl AsRef<[u8]>) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::new();
        self.download_to(name, 0, |_, chunk| bytes.extend_from_slice(chunk))?;
        Ok(bytes)
    }

    /// Downloads a file from an offset on, and gives each chunk with its position to `take`. Tells the
    /// number of bytes.
    #[track_caller]
    pub fn download_to(
        &mut self,
        name: impl AsRef<[u8]>,
        offset: u64,
        mut take: impl FnMut(u64, &[u8]),
    ) -> Result<u64, Refusal> {
        self.send(Command::Download { path: path(name.as_ref()), offset, digest: false }.encode());
        let length = self.begin_download()?;
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut done = 0;
        while done < length {
            let wanted = chunk.len().min(usize::try_from(length - done).unwrap_or(usize::MAX));
            let data = self.data.as_mut().expect("a data connection");
            let count = data.read(&mut chunk[..wanted]).expect("bytes of the download");
            if count == 0 {
                self.data = None;
                return Err(self.answer().outcome.expect_err("a reason for the end of the data"));
            }
            take(offset + done, &chunk[..count]);
            done += count as u64;
        }
        let words = self.answer().outcome?;
        assert_eq!(words, [length.to_string()]);
        Ok(length)
    }

    /// Reads the replies to a download up to the announcement, connects where that is asked for, and gives
    /// the announced length.
    #[track_caller]
    pub fn begin_download(&mut self) -> Result<u64, Refusal> {
        match Self::refusal_or(self.begin_transfer(false))? {
            Begun::Download { length } => Ok(length),
            Begun::Upload { offset } => panic!("an upload from {offset} on was not asked for"),
        }
    }

    /// Asks for a file and reads the replies up to the announcement; the bytes are left to the caller.
    #[track_caller]
    pub fn ask_for_download(&mut self, name: impl AsRef<[u8]>) -> Result<u64, Refusal> {
        self.send(Command::Download { path: path(name.as_ref()), offset: 0, digest: false }.encode());
        self.begin_download()
    }

    /// A session in the middle of a download of `big`, which is put there: so much of it has been read. It
    /// cannot be over where more is left than the sockets hold.
    #[track_caller]
    pub fn in_a_download(server: &Server, content: Content, read_bytes: u64) -> Self {
        server.put("big", content.bytes());
        let mut session = Self::with(server);
        assert_eq!(session.ask_for_download("big"), Ok(content.size_bytes));
        session.expect_data(content, 0, read_bytes);
        session
    }

    /// Reads exactly the bytes of `content` from `start` to `end` from the data connection.
    #[track_caller]
    pub fn expect_data(&mut self, content: Content, start: u64, end: u64) {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut at = start;
        while at < end {
            let wanted = chunk.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            let data = self.data.as_mut().expect("a data connection");
            data.read_exact(&mut chunk[..wanted]).expect("all announced bytes");
            assert_eq!(content.first_mismatch(at, &chunk[..wanted]), None, "a wrong byte");
            at += wanted as u64;
        }
    }

    /// Reads exactly these bytes from the data connection.
    #[track_caller]
    pub fn expect_data_bytes(&mut self, expected: &[u8]) {
        let mut bytes = vec![0; expected.len()];
        let data = self.data.as_mut().expect("a data connection");
        data.read_exact(&mut bytes).expect("all announced bytes");
        assert_eq!(bytes, expected);
    }

    /// Announces an upload and waits until its bytes may be sent; they are left to the caller.
    #[track_caller]
    pub fn announce_upload(&mut self, name: impl AsRef<[u8]>, size: u64) -> Result<(), Refusal> {
        self.send(
            Command::Upload { path: path(name.as_ref()), size, options: UploadOptions::default() }.encode(),
        );
        self.begin_upload(size)
    }

    /// Sends the bytes of `content` from `start` to `end` on the data connection.
    #[track_caller]
    pub fn send_data(&mut self, content: Content, start: u64, end: u64) {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut at = start;
        while at < end {
            let length = chunk.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            content.fill(at, &mut chunk[..length]);
            let data = self.data.as_mut().expect("a data connection");
            data.write_all(&chunk[..length]).expect("the server takes the upload");
            at += length as u64;
        }
    }

    /// Uploads a file from memory.
    #[track_caller]
    pub fn upload(&mut self, name: impl AsRef<[u8]>, bytes: &[u8]) -> Result<(), Refusal> {
        self.upload_from(name, bytes.len() as u64, |offset, chunk| {
            let start = usize::try_from(offset).expect("a position in memory");
            chunk.copy_from_slice(&bytes[start..start + chunk.len()]);
        })
    }

    #[track_caller]
    pub fn upload_content(&mut self, name: impl AsRef<[u8]>, content: Content) -> Result<(), Refusal> {
        self.upload_from(name, content.size_bytes, |offset, chunk| content.fill(offset, chunk))
    }

    /// Uploads what `fill` writes, chunk by chunk.
    #[track_caller]
    pub fn upload_from(
        &mut self,
        name: impl AsRef<[u8]>,
        size: u64,
        mut fill: impl FnMut(u64, &mut [u8]),
    ) -> Result<(), Refusal> {
        self.send(
            Command::Upload { path: path(name.as_ref()), size, options: UploadOptions::default() }.encode(),
        );
        self.begin_upload(size)?;
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut sent = 0;
        while sent < size {
            let length = chunk.len().min(usize::try_from(size - sent).unwrap_or(usize::MAX));
            fill(sent, &mut chunk[..length]);
            let data = self.data.as_mut().expect("a data connection");
            data.write_all(&chunk[..length]).expect("the server takes the upload");
            sent += length as u64;
        }
        let words = self.answer().outcome?;
        assert_eq!(words.first(), Some(&size.to_string()));
        Ok(())
    }

    /// Reads the replies to an upload of this size until its bytes may be sent, and connects where that is
    /// asked for.
    #[track_caller]
    pub fn begin_upload(&mut self, size: u64) -> Result<(), Refusal> {
        let begun = Self::refusal_or(self.begin_transfer(size <= EAGER_MAX_BYTES))?;
        assert_eq!(begun, Begun::Upload { offset: 0 });
        Ok(())
    }
}

fn path(name: &[u8]) -> RemotePath {
    RemotePath::parse(name).unwrap_or_else(|code| panic!("{}: {code}", name.escape_ascii()))
}
