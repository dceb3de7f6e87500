//! Each call of the client on files and sockets fails in each way that it can: it has what it was asked for all
//! the same, or says what is wrong and ends with the status for that.

use crate::calls::{ERRORS, failing_points};
use crate::client::{self, Ran, Runs};
use crate::side_by_side;
use ferry_tests::tracing::injector::{Aim, Point};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What the README says that it may end with, and what the loader of programs does where it fails.
const STATUSES: &[i32] = &[0, 2, 3, 4, 5, 6, 7, 127];

fn sweep(title: &str, run: Runs<'_>) {
    let points = failing_points(&run(Aim::Watch).run.counts);
    assert!(!points.is_empty(), "nothing was traced");
    let failures: Vec<(Point, Errno)> =
        points.iter().flat_map(|&point| ERRORS.iter().map(move |&errno| (point, errno))).collect();
    let (results, unreached) = (Mutex::new(BTreeMap::new()), Mutex::new(0));
    side_by_side::each(&failures, |&(point, errno)| {
        let ran = run(Aim::Fail(point, errno));
        check(&ran, point, errno);
        if ran.run.has_fired {
            *results.lock().unwrap().entry(ran.status).or_insert(0) += 1;
        } else {
            *unreached.lock().unwrap() += 1;
        }
    });
    let (results, unreached) = (results.into_inner().unwrap(), unreached.into_inner().unwrap());
    let tried: usize = results.values().sum();
    println!("{title}: {tried} errors, by exit status: {results:?}; not reached {unreached}");
    assert!(unreached * 4 <= tried, "too many calls were not reached");
}

fn check(ran: &Ran, point: Point, errno: Errno) {
    let context = format!("{point} with {errno:?}: {ran:?}");
    assert!(ran.status.is_some_and(|status| STATUSES.contains(&status)), "{context}");
    let is_told = ran.status == Some(0) || ran.messages.iter().any(|message| !message.is_empty());
    assert!(is_told, "{context}");
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_download_survives_every_error_of_the_client() {
    client::small_download_over_a_file(|run| sweep("client, small download over a file", run));
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_resumed_download_survives_every_error_of_the_client() {
    client::resumed_download(|run| sweep("client, resumed download", run));
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn an_upload_survives_every_error_of_the_client() {
    client::small_upload_over_a_file(|run| sweep("client, small upload over a file", run));
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_resumed_upload_survives_every_error_of_the_client() {
    client::resumed_upload(|run| sweep("client, resumed upload", run));
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_tree_download_survives_every_error_of_the_client() {
    client::tree_download(|run| sweep("client, tree download", run));
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_tree_upload_survives_every_error_of_the_client() {
    client::tree_upload(|run| sweep("client, tree upload", run));
}
