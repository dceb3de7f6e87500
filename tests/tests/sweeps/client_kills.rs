//! `kill -9` at every call of the client.

use crate::client;
use crate::kills::sweep;

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_download_survives_a_kill_of_the_client_at_every_call() {
    client::small_download_over_a_file(|run| sweep("client, small download over a file", |aim| run(aim).run));
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_resumed_download_survives_a_kill_of_the_client_at_every_call() {
    client::resumed_download(|run| sweep("client, resumed download", |aim| run(aim).run));
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn an_upload_survives_a_kill_of_the_client_at_every_call() {
    client::small_upload_over_a_file(|run| sweep("client, small upload over a file", |aim| run(aim).run));
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_resumed_upload_survives_a_kill_of_the_client_at_every_call() {
    client::resumed_upload(|run| sweep("client, resumed upload", |aim| run(aim).run));
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_tree_download_survives_a_kill_of_the_client_at_every_call() {
    client::tree_download(|run| sweep("client, tree download", |aim| run(aim).run));
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_tree_upload_survives_a_kill_of_the_client_at_every_call() {
    client::tree_upload(|run| sweep("client, tree upload", |aim| run(aim).run));
}
