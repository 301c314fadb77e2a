// SPDX-License-Identifier: ISC
//! The router from outside: its status page over HTTP, its remote shell over telnet.

use crate::command::Outcome;
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// A port of this host that nobody listens on.
pub fn free_port() -> Outcome<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|l| l.local_addr())
        .map(|a| a.port())
        .map_err(|e| e.to_string())
}

/// One service as the page has it; what there is not is `-`.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Service {
    pub name: String,
    pub kind: String,
    pub state: String,
    pub ready: String,
    pub pid: String,
    pub up_for: String,
    /// Seconds after the start of the kernel.
    pub started: String,
    /// Milliseconds.
    pub took: String,
}

impl Service {
    /// From an object of `skeg status --json`.
    fn new(object: &Value, uptime: f64) -> Option<Self> {
        let text = |key: &str| object[key].as_str().map(str::to_owned);
        let runs = object["running"].as_bool();
        let since = object["since"].as_u64().filter(|_| runs == Some(true));
        let shown = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let state = text("state")?;
        Some(Self {
            name: text("name")?,
            kind: text("kind")?,
            // The manager wants it up; whether it is, the supervisor knows.
            state: if runs == Some(false) && state == "up" { "down".to_owned() } else { state },
            ready: if object["ready"] == true { "yes" } else { "-" }.to_owned(),
            pid: shown(object["pid"].as_u64().filter(|pid| *pid != 0)),
            up_for: shown(since),
            started: shown(since.map(|since| (uptime as u64).saturating_sub(since))),
            took: shown(object["start_ms"].as_u64()),
        })
    }
}

/// The status page.
#[derive(Debug, Clone)]
pub struct Page {
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// Seconds since the kernel started.
    pub uptime: f64,
    /// All services.
    pub services: Vec<Service>,
}

impl Page {
    /// Fetches it; tries again until the time is over, since QEMU accepts connections before the guest does.
    pub fn fetch(port: u16, limit: Duration) -> Outcome<Self> {
        let end = Instant::now() + limit;
        loop {
            match get(port, "/cgi-bin/status?json", end).and_then(|text| Self::parse(&text)) {
                Ok(page) => return Ok(page),
                Err(e) if Instant::now() > end => return Err(format!("the status page can't be read: {e}")),
                // Not there yet: a pause between two tries, not a wait for anything.
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn parse(text: &str) -> Outcome<Self> {
        let page: Value = serde_json::from_str(text)
            .map_err(|e| format!("not a status page: {e}: {}", text.lines().next().unwrap_or_default()))?;
        let uptime = page["uptime"].as_f64().unwrap_or_default();
        let services = page["services"].as_array().into_iter().flatten();
        let services: Option<Vec<_>> = services.map(|object| Service::new(object, uptime)).collect();
        match (page["boot_id"].as_str(), services) {
            (Some(id), Some(services)) if !services.is_empty() => {
                Ok(Self { boot_id: id.to_owned(), uptime, services })
            }
            _ => Err(format!("a status page without boot or services: {text}")),
        }
    }

    /// The process id of a service that is up.
    pub fn pid(&self, name: &str) -> Outcome<&str> {
        self.services
            .iter()
            .find(|s| s.name == name && s.state == "up" && s.pid != "-")
            .map(|s| s.pid.as_str())
            .ok_or_else(|| format!("{name} has no process"))
    }
}

fn connect(port: u16, end: Instant) -> std::io::Result<TcpStream> {
    let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), left)?;
    // QEMU's answer can get lost while the guest is not there yet: look again after a while.
    stream.set_read_timeout(Some(left.min(Duration::from_secs(20))))?;
    Ok(stream)
}

/// The body behind a 200 answer.
fn get(port: u16, path: &str, end: Instant) -> Outcome<String> {
    let answer = (|| {
        let mut stream = connect(port, end)?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: router\r\n\r\n")?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    })()
    .map_err(|e| e.to_string())?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        Some((head, _)) => Err(head.lines().next().unwrap_or_default().to_owned()),
        None => Err("an empty answer".into()),
    }
}

/// A login at the router's telnetd.
pub struct Shell {
    stream: TcpStream,
    end: Instant,
    /// What has come and was not looked at yet.
    text: String,
    prompts: u32,
}

impl Shell {
    /// Logs in.
    pub fn login(port: u16, user: &str, password: &str, limit: Duration) -> Outcome<Self> {
        let end = Instant::now() + limit;
        let stream = connect(port, end).map_err(|e| format!("the remote shell: {e}"))?;
        stream.set_read_timeout(Some(limit)).map_err(|e| e.to_string())?;
        let mut shell = Self { stream, end, text: String::new(), prompts: 0 };
        shell.wait("login:")?;
        shell.send(user)?;
        shell.wait("assword:")?;
        shell.send(password)?;
        shell.wait("router# ")?;
        Ok(shell)
    }

    /// Runs a command line; what it printed.
    pub fn command(&mut self, line: &str) -> Outcome<String> {
        self.prompts += 1;
        let number = self.prompts;
        // The echo of this line does not hold what the line prints.
        self.send(&format!("{line}; echo end-$((1000 + {number})):$?"))?;
        self.wait(&format!("end-{}:", 1000 + number))
    }

    fn send(&mut self, line: &str) -> Outcome {
        self.stream.write_all(format!("{line}\n").as_bytes()).map_err(|e| format!("the remote shell: {e}"))
    }

    /// Waits for this text; what came before it.
    fn wait(&mut self, text: &str) -> Outcome<String> {
        loop {
            if let Some(at) = self.text.find(text) {
                let rest = self.text.split_off(at + text.len());
                return Ok(std::mem::replace(&mut self.text, rest));
            }
            if Instant::now() > self.end {
                return Err(format!("the remote shell did not say '{text}' in time, but: {}", self.text));
            }
            let mut buf = [0; 1024];
            match self.stream.read(&mut buf) {
                Ok(0) => return Err(format!("the remote shell ended before '{text}': {}", self.text)),
                Ok(n) => self.text.push_str(&plain(buf.get(..n).unwrap_or_default())),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(format!("the remote shell: {e}")),
            }
        }
    }
}

/// The text without telnet's own commands: 255, a command, an option. (RFC 854; busybox sends no others.)
fn plain(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        if byte == 255 {
            rest.nth(1);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read() {
        let page = Page::parse(
            r#"{"boot_id":"1-2","uptime":3.5,"wan":"-","services":
            [{"name":"a","kind":"longrun","state":"up","running":true,"ready":true,"pid":12,"since":3,"start_ms":40},
            {"name":"b","kind":"oneshot","state":"up"}]}"#,
        );
        let page = page.unwrap();
        assert_eq!((page.services[0].started.as_str(), page.services[0].took.as_str()), ("0", "40"));
        assert_eq!(page.pid("a").unwrap(), "12");
        assert!(page.pid("b").is_err());
        assert!(Page::parse("<h1>404</h1>").is_err());
    }

    #[test]
    fn telnet_commands_are_not_text() {
        assert_eq!(plain(&[255, 253, 1, b'l', 255, 251, 3, b'o']), "lo");
    }
}
