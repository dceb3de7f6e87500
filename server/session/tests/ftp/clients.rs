//! What known clients say, as they were heard to say it, and what they are to be told.

use crate::desk::Desk;

/// Each line, and how the reply to it begins; of a reply of several lines, how the last begins.
fn holds(name: &str, script: &[(&str, &str)]) {
    let mut desk = Desk::new();
    for &(line, expected) in script {
        let text = desk.tell(line);
        let last = text.lines().last().unwrap_or_default();
        assert!(last.starts_with(expected), "{name}: {line}: {text:?}, not {expected}");
    }
    assert!(desk.nodes.contains_key(&b"a.txt"[..]), "{name}");
}

const LOGIN: [(&str, &str); 2] = [("USER anonymous", "331"), ("PASS x@", "230")];

fn after_login(name: &str, script: &[(&str, &str)]) {
    holds(name, &[&LOGIN, script].concat());
}

#[test]
fn curl() {
    let (epsv, retr) = (("EPSV", "229 "), ("RETR a.txt", "226"));
    let listing = [("PWD", "257 \"/\""), epsv, ("TYPE A", "200"), ("LIST", "226"), ("QUIT", "221")];
    after_login("list", &listing);
    after_login("old server", &[("PWD", "257"), ("PASV", "227"), ("TYPE I", "200"), retr]);
    let resume = [epsv, ("TYPE I", "200"), ("SIZE a.txt", "213 5"), ("REST 2", "350"), retr];
    after_login("resume", &resume);
    let head =
        [("MDTM a.txt", "213 20251124160000"), ("TYPE I", "200"), ("SIZE a.txt", "213 5"), ("REST 0", "350")];
    after_login("-I", &head);
    after_login("-T", &[("CWD sub", "250"), epsv, ("TYPE I", "200"), ("STOR new", "226")]);
    after_login("-C - -T", &[epsv, ("TYPE I", "200"), ("SIZE a.txt", "213 5"), ("APPE a.txt", "226")]);
    after_login("--ftp-create-dirs", &[("CWD x", "550"), ("MKD x", "257 \"/x\""), ("CWD x", "250")]);
    let quotes = [("RNFR a.txt", "350"), ("RNTO c.txt", "250"), ("RNFR c.txt", "350"), ("RNTO a.txt", "250")];
    after_login("-Q", &quotes);
    holds("TLS if there is", &[("AUTH SSL", "502"), ("AUTH TLS", "502"), LOGIN[0], LOGIN[1]]);
}

#[test]
fn lftp() {
    let begin = [
        ("FEAT", "211 End"),
        ("AUTH TLS", "502"),
        ("OPTS UTF8 ON", "200"),
        LOGIN[0],
        LOGIN[1],
        ("OPTS UTF8 ON", "200"),
        (
            "OPTS MLST type;size;modify;UNIX.mode;UNIX.uid;UNIX.gid;",
            "200 MLST OPTS type;size;modify;unix.mode;",
        ),
        ("PWD", "257 \"/\""),
    ];
    let list = [("CWD /sub", "250"), ("PASV", "227"), ("LIST", "226"), ("PASV", "227"), ("MLSD", "226")];
    holds("list", &[&begin[..], &list].concat());
    let put = [
        ("TYPE I", "200"),
        ("PASV", "227"),
        ("ALLO 13", "200"),
        ("STOR x", "226"),
        ("MFMT 20251124160000 x", "213 Modify=20251124160000; /x"),
        ("SITE CHMOD 755 x", "200"),
    ];
    holds("put", &[&begin[..], &put].concat());
    let get = [
        ("TYPE I", "200"),
        ("SIZE a.txt", "213 5"),
        ("MDTM a.txt", "213"),
        ("PASV", "227"),
        ("RETR a.txt", "226"),
    ];
    holds("get", &[&begin[..], &get].concat());
    let again = [
        ("TYPE I", "200"),
        ("SIZE a.txt", "213 5"),
        ("PASV", "227"),
        ("REST 5", "350"),
        ("STOR a.txt", "554"),
        ("PASV", "227"),
        ("REST 0", "350"),
        ("STOR a.txt", "226"),
    ];
    holds("put again", &[&begin[..], &again].concat());
    holds("interrupted", &[&begin[..], &[("\u{7f}", "500"), ("ABOR", "225"), ("QUIT", "221")]].concat());
}

#[test]
fn ncftp() {
    let ncftp = [
        ("PWD", "257"),
        ("FEAT", "211"),
        ("HELP SITE", "214"),
        ("CLNT NcFTPPut 3.2.6", "200"),
        ("OPTS MLST type;size;modify;UNIX.mode;UNIX.uid;UNIX.gid;", "200"),
        ("PASV", "227"),
        ("NLST -CF", "226"),
        ("TYPE I", "200"),
        ("MLST a.txt", "250"),
        ("SIZE a.txt", "213"),
        ("PASV", "227"),
        ("STOR a.txt", "226"),
        ("MFMT 20251124160000 a.txt", "213"),
        ("MLST not there", "550"),
        ("QUIT", "221"),
    ];
    after_login("ncftp", &ncftp);
}

#[test]
fn tnftp() {
    let tnftp = [
        ("SYST", "215 UNIX Type: L8"),
        ("FEAT", "211"),
        ("EPSV", "229"),
        ("LIST", "226"),
        ("TYPE I", "200"),
        ("SIZE a.txt", "213"),
        ("EPSV", "229"),
        ("REST 2", "350"),
        ("RETR a.txt", "226"),
        ("MDTM a.txt", "213"),
    ];
    after_login("tnftp", &tnftp);
}

#[test]
fn inetutils() {
    let inetutils = [
        ("SYST", "215"),
        LOGIN[0],
        LOGIN[1],
        ("PORT 127,0,0,1,200,10", "200"),
        ("TYPE A", "200"),
        ("LIST", "226"),
        ("TYPE I", "200"),
        ("PORT 127,0,0,1,200,11", "200"),
        ("RETR a.txt", "226"),
    ];
    holds("inetutils", &inetutils);
}

#[test]
fn wget() {
    let wget = [
        ("SYST", "215"),
        ("PWD", "257"),
        ("TYPE I", "200"),
        ("CWD /sub", "250"),
        ("SIZE b.txt", "213"),
        ("PASV", "227"),
        ("LIST -a", "226"),
        ("PASV", "227"),
        ("RETR b.txt", "226"),
    ];
    after_login("wget", &wget);
}

#[test]
fn aria2() {
    let aria2 = [
        ("TYPE I", "200"),
        ("PWD", "257"),
        ("CWD /", "250"),
        ("SIZE a.txt", "213"),
        ("PASV", "227"),
        ("REST 0", "350"),
        ("RETR a.txt", "226"),
    ];
    after_login("aria2", &aria2);
}

#[test]
fn axel() {
    let axel = [
        ("TYPE I", "200"),
        ("CWD /", "250"),
        ("REST 1", "350"),
        ("REST 0", "350"),
        ("SIZE a.txt", "213"),
        ("PASV", "227"),
        ("REST 3", "350"),
        ("RETR a.txt", "226 Sent 2"),
    ];
    after_login("axel", &axel);
}

#[test]
fn windows() {
    let windows = [
        ("opts utf8 on", "200"),
        ("syst", "215"),
        ("site help", "214"),
        ("PWD", "257"),
        ("noop", "200"),
        ("PORT 127,0,0,1,200,10", "200"),
        ("NLST", "226"),
        ("XPWD", "257"),
        ("XCWD sub", "250"),
        ("XCUP", "250 \"/\""),
    ];
    after_login("ftp.exe", &windows);
}

#[test]
fn rclone() {
    let rclone = [
        ("FEAT", "211"),
        ("TYPE I", "200"),
        ("OPTS UTF8 ON", "200"),
        ("EPSV", "229"),
        ("MLSD sub", "226"),
        ("EPSV", "229"),
        ("STOR x.partial", "226"),
        ("RNFR x.partial", "350"),
        ("RNTO x", "250"),
        ("MFMT 20251124160000 x", "213"),
        ("EPSV", "229"),
        ("REST 0", "350"),
        ("RETR a.txt", "226"),
    ];
    after_login("rclone", &rclone);
}

#[test]
fn ftplib() {
    let ftplib = [
        ("TYPE A", "200"),
        ("PASV", "227"),
        ("MLSD", "226"),
        ("MKD q\"q", "257 \"/q\"\"q\""),
        ("TYPE I", "200"),
        ("PASV", "227"),
        ("REST 2", "350"),
        ("RETR a.txt", "226"),
    ];
    after_login("ftplib", &ftplib);
}

#[test]
fn basic_ftp() {
    let basic_ftp = [
        ("OPTS UTF8 ON", "200"),
        LOGIN[0],
        LOGIN[1],
        ("FEAT", "211"),
        ("TYPE I", "200"),
        ("STRU F", "200"),
        ("OPTS UTF8 ON", "200"),
        (
            "OPTS MLST type;size;modify;unique;unix.mode;unix.owner;unix.group;unix.ownername;unix.groupname;",
            "200",
        ),
        ("EPSV", "229"),
        ("MLSD", "226"),
        ("EPSV", "229"),
        ("LIST -a", "226"),
        ("EPSV", "229"),
        ("APPE a.txt", "226"),
    ];
    holds("basic-ftp", &basic_ftp);
}

#[test]
fn perl() {
    let perl = [
        ("FEAT", "211"),
        ("HELP ALLO", "214 Syntax: ALLO"),
        ("ALLO 13", "200"),
        ("PORT 127,0,0,1,200,10", "200"),
        ("STOR x", "226"),
        ("PORT 127,0,0,1,200,11", "200"),
        ("NLST", "226"),
    ];
    after_login("Net::FTP", &perl);
}

#[test]
fn php() {
    let php = [
        ("PASV", "227"),
        ("NLST .", "226"),
        ("PASV", "227"),
        ("LIST /", "226"),
        ("PASV", "227"),
        ("MLSD .", "226"),
    ];
    after_login("PHP", &php);
}

#[test]
fn commons_net() {
    let commons_net = [
        ("FEAT", "211"),
        LOGIN[0],
        LOGIN[1],
        ("TYPE I", "200"),
        ("SYST", "215 UNIX"),
        ("PASV", "227"),
        ("LIST", "226"),
        ("PASV", "227"),
        ("REST 2", "350"),
        ("STOR x", "554"),
    ];
    holds("commons-net", &commons_net);
}

#[test]
fn file_zilla() {
    let file_zilla = [
        ("AUTH TLS", "502"),
        ("AUTH SSL", "502"),
        LOGIN[0],
        LOGIN[1],
        ("SYST", "215"),
        ("FEAT", "211"),
        ("OPTS UTF8 ON", "200"),
        ("PBSZ 0", "502"),
        ("PROT P", "502"),
        ("OPTS MLST type;perm;size;modify;unix.mode;", "200"),
        ("PWD", "257"),
        ("TYPE I", "200"),
        ("PASV", "227"),
        ("MLSD", "226"),
    ];
    holds("FileZilla", &file_zilla);
}

/// It does not look at replies.
#[test]
fn a_camera() {
    let script = [
        ("TYPE I", "200"),
        ("CWD cam", "550"),
        ("MKD cam", "257"),
        ("CWD cam", "250"),
        ("XMKD day", "257 \"/cam/day\""),
        ("XCWD day", "250"),
        ("EPSV", "229"),
        ("STOR 1.jpg", "226"),
        ("PORT 127,0,0,1,200,10", "200"),
        ("STOR 2.jpg", "226"),
        ("QUIT", "221"),
    ];
    after_login("a camera", &script);
}

#[test]
fn busybox() {
    let script =
        [("TYPE I", "200"), ("EPSV", "229"), ("SIZE a.txt", "213"), ("RETR a.txt", "226"), ("QUIT", "221")];
    after_login("busybox", &script);
}

#[test]
fn node() {
    let script = [("FEAT", "211"), ("TYPE I", "200"), ("PASV", "227"), ("LIST", "226"), ("MODE S", "200")];
    after_login("node's ftp", &script);
}
