//! What each client does and under which names, as a function of the flags alone.

use super::cli::{Config, Operation};
use crate::content::{Content, mix};
use ferry_common::limits::EAGER_MAX_BYTES;
use ferry_common::path::RemotePath;

/// What is measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Ls,
    Download,
    Upload,
    ReadBack,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Ls, Self::Download, Self::Upload, Self::ReadBack];

    pub fn word(self) -> &'static str {
        match self {
            Self::Ls => "ls",
            Self::Download => "download",
            Self::Upload => "upload",
            Self::ReadBack => "read-back",
        }
    }
}

/// The file that all clients download.
pub(crate) fn shared_content(config: &Config) -> Content {
    Content::new(mix(config.seed), config.size)
}

pub(crate) fn shared_path(config: &Config) -> RemotePath {
    path(format!("swarm-{}-shared.bin", config.seed))
}

/// The name of one place in the pool of names.
pub(crate) fn own_path(config: &Config, name: u32) -> RemotePath {
    path(format!("swarm-{}-{name}.bin", config.seed))
}

/// What a client uploads in a round: no other client has the same, nor has it in another round.
pub(crate) fn own_content(config: &Config, client: u32, round: u32) -> Content {
    let number = u64::from(round) * u64::from(config.clients) + u64::from(client);
    let random = mix(config.seed ^ mix(number.wrapping_add(1)));
    let size_bytes = match random % 16 {
        0 => 0,
        1 => 1,
        2 => config.size,
        _ => (random >> 4) % config.size.saturating_mul(2).max(1),
    };
    let is_large = config.large_every > 0 && number.is_multiple_of(config.large_every);
    let size_bytes = if is_large { size_bytes.saturating_add(EAGER_MAX_BYTES) } else { size_bytes };
    Content::new(mix(random), size_bytes)
}

/// Where a client is in its work.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Position {
    pub(crate) round: u32,
    item: usize,
}

impl Position {
    /// What is to be done there; `None` at the end of the work.
    pub(crate) fn operation(&self, config: &Config) -> Option<Operation> {
        if self.round >= config.rounds {
            return None;
        }
        config.mix.get(self.item).copied()
    }

    pub(crate) fn advance(&mut self, config: &Config) {
        self.item += 1;
        if self.item >= config.mix.len() {
            self.item = 0;
            self.round += 1;
        }
    }
}

fn path(name: String) -> RemotePath {
    RemotePath::parse(name.as_bytes()).expect("letters, digits, dots and dashes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn the_mix_is_done_in_each_round() {
        let config = Config::parse_from(["swarm", "--rounds", "2", "--mix", "ls,upload"]);
        let mut position = Position::default();
        let mut done = Vec::new();
        while let Some(operation) = position.operation(&config) {
            done.push((position.round, operation));
            position.advance(&config);
        }
        let (ls, upload) = (Operation::Ls, Operation::Upload);
        assert_eq!(done, [(0, ls), (0, upload), (1, ls), (1, upload)]);
    }

    #[test]
    fn contents_differ_by_client_and_round_and_sizes_spread() {
        let config = Config::parse_from(["swarm", "--clients", "50", "--rounds", "4", "--large-every", "10"]);
        let contents: Vec<_> =
            (0..200).map(|number| own_content(&config, number % 50, number / 50)).collect();
        let seeds: std::collections::HashSet<_> = contents.iter().map(|content| content.seed).collect();
        assert_eq!(seeds.len(), 200);
        assert!(contents.iter().any(|content| content.size_bytes == 0));
        assert!(contents.iter().any(|content| content.size_bytes == 1));
        assert_eq!(contents.iter().filter(|content| content.size_bytes >= EAGER_MAX_BYTES).count(), 20);
    }
}
