//! `measure`: how fast Ferry moves files beside the system's own tools, in one run on one file system, since
//! machines differ and are noisy. Prints figures and ratios; judges nothing.

use clap::Parser;
use ferry_tests::content::Content;
use ferry_tests::conversation::Conversation;
use ferry_tests::ferry::{Ferry, Running};
use ferry_tests::server::{Options, Server};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Measures Ferry beside `cp`, on the file system of DIR. Build it for release.
#[derive(Debug, Parser)]
struct Arguments {
    /// A folder to work in; what it makes there is removed again
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// How many small files
    #[arg(long, default_value_t = 10_000)]
    files: u32,
    /// Size of a small file
    #[arg(long, default_value_t = 4096)]
    file_bytes: usize,
    /// How often the small files are moved each way; the median counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Size of the large file
    #[arg(long, default_value_t = 2 << 30)]
    stream_bytes: u64,
}

fn main() {
    let arguments = Arguments::parse();
    let work = tempfile::tempdir_in(&arguments.directory).expect("a folder to work in");
    println!(
        "small files: {} of {} bytes, median of {}",
        arguments.files, arguments.file_bytes, arguments.rounds
    );
    measure_small_files(&arguments, work.path());
    println!("one stream: {} bytes", arguments.stream_bytes);
    measure_stream(&arguments, work.path());
}

/// Nothing is removed before the end, and each starts on a flushed file system: ext4 looks long for a free
/// inode where many have just been given back, and that would be counted against the next measurement.
fn measure_small_files(arguments: &Arguments, work: &Path) {
    let source = work.join("source");
    std::fs::create_dir(&source).expect("a folder");
    let content = vec![b'x'; arguments.file_bytes];
    for number in 0..arguments.files {
        std::fs::write(source.join(format!("f{number}")), &content).expect("a file");
    }
    let mut times: Vec<(String, Vec<Duration>)> = Vec::new();
    for round in 0..arguments.rounds {
        let mut place = 0;
        let mut measure = |name: String, work_in: &dyn Fn(&Path) -> Duration| {
            run("sync", &[]);
            let took = work_in(&work.join(format!("{round}-{place}")));
            if round == 0 {
                times.push((name, Vec::new()));
            }
            times[place].1.push(took);
            place += 1;
        };
        measure("cp -r".to_owned(), &|to| time(|| run("cp", &[Path::new("-r"), &source, to])));
        measure("cp -r, then sync".to_owned(), &|to| {
            time(|| {
                run("cp", &[Path::new("-r"), &source, to]);
                run("sync", &[]);
            })
        });
        for level in ["none", "data", "full"] {
            measure(format!("uploads, --durability {level}"), &|root| {
                std::fs::create_dir(root).expect("a folder");
                let server = Options::default().root(root).arguments(&["--durability", level]).start();
                upload_all(&server, arguments.files, &content)
            });
        }
    }
    let medians: Vec<(String, f64)> =
        times.into_iter().map(|(name, times)| (name, median(times).as_secs_f64())).collect();
    for (name, took) in &medians {
        let rate = f64::from(arguments.files) / took;
        let (plain, flushed) = (medians[0].1 / took, medians[1].1 / took);
        println!("  {name:<28} {rate:>9.0} files/s   {plain:>5.2} x cp -r   {flushed:>5.2} x cp -r, sync");
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Sends everything ahead over one session, and reads the replies meanwhile.
fn upload_all(server: &Server, files: u32, content: &[u8]) -> Duration {
    let mut first = Conversation::with(server);
    first.upload("first", b"opens the data connection").expect("an upload");
    let mut data = first.data.take().expect("a data connection");
    let started = Instant::now();
    std::thread::scope(|scope| {
        let size = content.len();
        let mut control = first.stream().try_clone().expect("a second handle");
        scope.spawn(move || {
            let commands: String = (0..files).map(|number| format!("upload f{number} {size}\n")).collect();
            control.write_all(commands.as_bytes()).expect("the server takes commands");
        });
        scope.spawn(move || {
            for _ in 0..files {
                data.write_all(content).expect("the server takes uploads");
            }
        });
        for _ in 0..files {
            first.answer().outcome.expect("every upload succeeds");
        }
    });
    started.elapsed()
}

fn measure_stream(arguments: &Arguments, work: &Path) {
    let ferry = Ferry::within(work);
    let content = Content::new(1, arguments.stream_bytes);
    write_content(&ferry.path("large"), content);
    let report = |name: &str, took: Duration| {
        println!("  {name:<28} {:>6.2} GB/s", arguments.stream_bytes as f64 / took.as_secs_f64() / 1e9);
    };
    let (source, copy) = (ferry.path("large"), work.join("copy"));
    report("cp", time(|| run("cp", &[&source, &copy])));
    std::fs::remove_file(&copy).expect("a file of ours");
    report(
        "cp, then sync",
        time(|| {
            run("cp", &[&source, &copy]);
            run("sync", &[]);
        }),
    );
    std::fs::remove_file(&copy).expect("a file of ours");
    for (level, verify) in [("full", true), ("full", false), ("none", true), ("none", false)] {
        let root = work.join("served");
        std::fs::create_dir(&root).expect("a folder");
        let server = Options::default().root(&root).arguments(&["--durability", level]).start();
        let how = if verify { "verified" } else { "not verified" };
        report(
            &format!("upload, {level}, {how}"),
            time(|| transfer(&ferry, &server, "upload large", verify)),
        );
        if level == "none" {
            for turn in ["first", "again"] {
                let name = format!("download, {how}, {turn}");
                report(&name, time(|| transfer(&ferry, &server, "download large copy", verify)));
                std::fs::remove_file(ferry.path("copy")).expect("a file of ours");
            }
        }
        drop(server);
        std::fs::remove_dir_all(&root).expect("a folder of ours");
    }
}

fn transfer(ferry: &Ferry, server: &Server, command: &str, verify: bool) {
    let mut ferry = ferry.command(server.control_address());
    ferry.args(["-c", command]);
    if !verify {
        ferry.arg("--no-verify");
    }
    Running::start(ferry, b"").finish().expect_status(0);
}

fn write_content(path: &Path, content: Content) {
    let mut file = std::fs::File::create(path).expect("a file");
    let mut chunk = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < content.size_bytes {
        let length = chunk.len().min(usize::try_from(content.size_bytes - offset).unwrap_or(usize::MAX));
        content.fill(offset, &mut chunk[..length]);
        file.write_all(&chunk[..length]).expect("room for the file");
        offset += length as u64;
    }
}

fn time(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn run(program: &str, arguments: &[&Path]) {
    let status = Command::new(program).args(arguments).status().expect("a program of the system");
    assert!(status.success(), "{program} failed");
}
