//! A crowd in a process of its own: both ends of what its parent and it tell each other. It says `there` when all its
//! members are, goes on until the end of its standard input, and then says how many connections it has made.

use super::cli::CrowdConfig;
use super::crowd::{Crowd, Target};
use super::plan::COLD_FILES;
use rustix::fs::{Advice, fadvise};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a crowd may take until all its members are there.
const SETTLE_LIMIT: Duration = Duration::from_secs(10);
/// What they have begun together has gone its way after this time.
const SETTLE_TIME: Duration = Duration::from_secs(1);
const CACHE_DROP_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct CrowdProcess {
    child: Child,
    /// What it says, line by line.
    lines: Receiver<String>,
}

impl CrowdProcess {
    pub(super) fn start(config: &CrowdConfig) -> io::Result<Self> {
        let CrowdConfig { attack, control, data, from, folder } = config;
        // Itself, though a build of the server may have replaced its file.
        let mut command = Command::new("/proc/self/exe");
        command.args(["crowd", &attack.name(), &control.to_string(), &data.to_string()]);
        if let Some(from) = from {
            command.args(["--from", &from.to_string()]);
        }
        if let Some(folder) = folder {
            command.arg("--folder").arg(folder);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // It fails where the parent is gone.
                let _ = sender.send(line);
            }
        });
        Ok(Self { child, lines })
    }

    /// Waits until all members are there, or for long enough.
    pub(super) fn wait_until_there(&self) {
        let _ = self.lines.recv_timeout(SETTLE_LIMIT);
        std::thread::sleep(SETTLE_TIME);
    }

    /// Ends the attack; gives what the crowd tells of it.
    pub(super) fn end(mut self) -> io::Result<String> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        let told = self.lines.iter().last().unwrap_or_default();
        if status.success() { Ok(told) } else { Err(io::Error::other(format!("the crowd: {status}"))) }
    }
}

impl Drop for CrowdProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the other process does.
pub fn attack(config: &CrowdConfig) -> io::Result<()> {
    let plan = config.attack.plan();
    let over = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&over);
    std::thread::spawn(move || {
        // Whatever ends it, the parent wants no more.
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        ended.store(true, Ordering::Relaxed);
    });
    if let Some(folder) = config.folder.clone().filter(|_| plan.drops_cache) {
        std::thread::spawn(move || drop_cache_again_and_again(&folder));
    }
    let target = Target { control: config.control, data: config.data, from: config.from };
    let mut crowd = Crowd::new(plan, target)?;
    crowd.run(|| over.load(Ordering::Relaxed), || say("there"))?;
    let (begun, failed) = crowd.counts();
    say(&format!("{begun} connections, {failed} not to be had"));
    Ok(())
}

fn say(line: &str) {
    println!("{line}");
    // The parent may have gone.
    let _ = io::stdout().flush();
}

fn drop_cache_again_and_again(folder: &Path) {
    let files: Vec<File> =
        (0..COLD_FILES).filter_map(|number| File::open(folder.join(format!("cold{number}"))).ok()).collect();
    loop {
        for file in &files {
            // Only advice.
            let _ = fadvise(file, 0, None, Advice::DontNeed);
        }
        std::thread::sleep(CACHE_DROP_INTERVAL);
    }
}
