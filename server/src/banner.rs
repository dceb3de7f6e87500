//! What a person is told at a terminal when the server has started: what is shared, what to type to reach it, and what
//! everybody may do there.

use crate::figures::Size;
use crate::limits::BANNER_ADDRESSES_MAX;
use ferry_common::limits::CONTROL_PORT;
use if_addrs::{IfOperStatus, Interface};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The facts of a start.
pub(crate) struct Banner<'a> {
    /// As a terminal may be given it.
    pub(crate) directory: &'a str,
    pub(crate) free_bytes: Option<u64>,
    pub(crate) reach: &'a Reach,
    pub(crate) control_port: u16,
    pub(crate) data_port: u16,
    /// `None` where FTP is not served.
    pub(crate) ftp_port: Option<u16>,
    pub(crate) rights: Rights,
}

/// What everybody may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rights {
    pub(crate) read_only: bool,
    pub(crate) no_overwrite: bool,
}

/// By which names of this machine it is reached.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    network: Vec<IpAddr>,
    machine: Vec<String>,
}

impl Rights {
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self { read_only: true, .. } => {
                "Everybody who reaches it may list and download; nothing can be changed."
            }
            Self { no_overwrite: true, .. } => {
                "Everybody who reaches it may download, upload, rename and remove, but replace\nno file. \
                 --read-only lets them only download."
            }
            Self { .. } => {
                "Everybody who reaches it may download, upload, replace, rename and remove.\n\
                 --read-only lets them only download."
            }
        }
    }
}

impl Reach {
    /// Of a server that listens on these addresses; on all of the machine where there are none. Where the interfaces cannot be
    /// known, what is known without them is told.
    pub(crate) fn of(listen: &[IpAddr]) -> Self {
        Self::among(listen, &if_addrs::get_if_addrs().unwrap_or_default())
    }

    fn among(listen: &[IpAddr], interfaces: &[Interface]) -> Self {
        let everywhere = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let listen = if listen.is_empty() { &everywhere } else { listen };
        let mut reach = Self::default();
        for &address in listen {
            if address.is_unspecified() {
                // A link-local address means nothing without the name of the interface at the other end.
                let is_told = |interface: &&Interface| {
                    interface.ip().is_ipv4() == address.is_ipv4()
                        && !interface.is_loopback()
                        && !interface.is_link_local()
                        && interface.oper_status != IfOperStatus::Down
                };
                reach.network.extend(interfaces.iter().filter(is_told).map(Interface::ip));
                reach.machine.push("localhost".to_owned());
            } else if address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST {
                reach.machine.push("localhost".to_owned());
            } else if address.is_loopback() {
                reach.machine.push(address.to_string());
            } else {
                reach.network.push(address);
            }
        }
        reach.network.sort_unstable();
        reach.network.dedup();
        reach.machine.dedup();
        reach
    }
}

impl Banner<'_> {
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into memory does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        write!(text, "Ferry {} shares {}", env!("CARGO_PKG_VERSION"), self.directory)?;
        if let Some(free_bytes) = self.free_bytes {
            write!(text, "  ({} free)", Size(free_bytes))?;
        }
        text.push_str("\n\n");
        let port =
            if self.control_port == CONTROL_PORT { String::new() } else { format!(" {}", self.control_port) };
        let Reach { network, machine } = self.reach;
        let shown = network.iter().take(BANNER_ADDRESSES_MAX).map(|address| format!("ferry {address}{port}"));
        let left_out = network.len().saturating_sub(BANNER_ADDRESSES_MAX);
        let left_out = (left_out > 0).then(|| format!("and {left_out} more addresses"));
        write_rows(text, "on this network", shown.chain(left_out))?;
        write_rows(text, "on this machine", machine.iter().map(|name| format!("ferry {name}{port}")))?;
        if let Some(port) = self.ftp_port {
            let names = network.iter().map(IpAddr::to_string).chain(machine.iter().cloned());
            let address = names.take(1).map(|name| match name.parse() {
                Ok(IpAddr::V6(address)) => format!("ftp://[{address}]:{port}"),
                Ok(IpAddr::V4(_)) | Err(_) => format!("ftp://{name}:{port}"),
            });
            write_rows(text, "any FTP client", address)?;
        }
        text.push('\n');
        for line in self.rights.sentence().lines().chain(["Hidden files are shared too."]) {
            writeln!(text, "  {line}")?;
        }
        let (control_port, data_port) = (self.control_port, self.data_port);
        match self.ftp_port {
            None => writeln!(text, "  A firewall must let in ports {control_port} and {data_port} (TCP).")?,
            Some(ftp_port) => writeln!(
                text,
                "  A firewall must let in ports {control_port}, {data_port} and {ftp_port} (TCP), and\n  \
                 those of --ftp-passive-ports."
            )?,
        }
        text.push_str("\nCtrl-C stops.\n");
        Ok(())
    }
}

fn write_rows(text: &mut String, label: &str, rows: impl Iterator<Item = String>) -> std::fmt::Result {
    for (at, row) in rows.enumerate() {
        writeln!(text, "  {:<18} {row}", if at == 0 { label } else { "" })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use if_addrs::{IfAddr, Ifv4Addr, Ifv6Addr};

    fn interface(ip: &str, oper_status: IfOperStatus) -> Interface {
        let addr = match ip.parse().unwrap() {
            IpAddr::V4(ip) => {
                IfAddr::V4(Ifv4Addr { ip, netmask: Ipv4Addr::BROADCAST, prefixlen: 32, broadcast: None })
            }
            IpAddr::V6(ip) => {
                IfAddr::V6(Ifv6Addr { ip, netmask: Ipv6Addr::UNSPECIFIED, prefixlen: 0, broadcast: None })
            }
        };
        Interface { name: "eth0".to_owned(), addr, index: None, oper_status, is_p2p: false }
    }

    fn reach(listen: &[&str]) -> (Vec<String>, Vec<String>) {
        let listen: Vec<IpAddr> = listen.iter().map(|address| address.parse().unwrap()).collect();
        let up = ["127.0.0.1", "::1", "fe80::1", "2001:db8::7", "192.168.1.20", "10.0.0.2"];
        let mut interfaces = up.map(|ip| interface(ip, IfOperStatus::Up)).to_vec();
        interfaces.push(interface("172.17.0.1", IfOperStatus::Down));
        let Reach { network, machine } = Reach::among(&listen, &interfaces);
        (network.iter().map(IpAddr::to_string).collect(), machine)
    }

    #[test]
    fn only_addresses_that_lead_here_are_told() {
        let (here, nowhere) = (vec!["localhost".to_owned()], Vec::<String>::new());
        let strings = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let all = strings(&["10.0.0.2", "192.168.1.20", "2001:db8::7"]);
        assert_eq!(reach(&[]), (all, here.clone()));
        assert_eq!(reach(&["0.0.0.0"]), (strings(&["10.0.0.2", "192.168.1.20"]), here.clone()));
        assert_eq!(reach(&["::"]), (strings(&["2001:db8::7"]), here.clone()));
        assert_eq!(reach(&["127.0.0.1", "::1"]), (nowhere.clone(), here));
        assert_eq!(reach(&["127.0.0.9"]), (nowhere.clone(), strings(&["127.0.0.9"])));
        assert_eq!(reach(&["192.168.1.20"]), (strings(&["192.168.1.20"]), nowhere));
    }

    fn banner(reach: &Reach, port: u16, read_only: bool, no_overwrite: bool) -> String {
        let rights = Rights { read_only, no_overwrite };
        let text = Banner {
            directory: "/home/me/Public",
            free_bytes: Some(120_000_000_000),
            reach,
            control_port: port,
            data_port: 3333,
            ftp_port: Some(2121).filter(|_| !read_only),
            rights,
        }
        .text();
        assert!(text.lines().all(|line| line.len() < 80), "{text}");
        text
    }

    #[test]
    fn the_usual_start() {
        let network = vec!["192.168.1.20".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        let reach = Reach { network, machine: vec!["localhost".to_owned()] };
        let expected = "\
Ferry VERSION shares /home/me/Public  (120.0 GB free)

  on this network    ferry 192.168.1.20
                     ferry 2001:db8::7
  on this machine    ferry localhost
  any FTP client     ftp://192.168.1.20:2121

  Everybody who reaches it may download, upload, replace, rename and remove.
  --read-only lets them only download.
  Hidden files are shared too.
  A firewall must let in ports 2222, 3333 and 2121 (TCP), and
  those of --ftp-passive-ports.

Ctrl-C stops.
";
        let expected = expected.replace("VERSION", env!("CARGO_PKG_VERSION"));
        assert_eq!(banner(&reach, 2222, false, false), expected);
    }

    #[test]
    fn what_is_not_usual_is_told() {
        let network: Vec<IpAddr> = (0..11).map(|host| Ipv4Addr::new(10, 0, 0, host).into()).collect();
        let text = banner(&Reach { network, machine: Vec::new() }, 4000, true, true);
        assert!(text.contains("  on this network    ferry 10.0.0.0 4000\n"), "{text}");
        assert!(text.contains(&format!("\n{:21}ferry 10.0.0.7 4000\n{:21}and 3 more addresses\n", "", "")));
        assert!(text.contains("A firewall must let in ports 4000 and 3333 (TCP).\n"), "{text}");
        assert!(
            !text.contains("on this machine")
                && !text.contains("FTP")
                && text.contains("nothing can be changed"),
            "{text}"
        );
        let text = banner(&Reach::default(), 2222, false, true);
        assert!(text.contains("replace\n  no file"), "{text}");
    }
}
