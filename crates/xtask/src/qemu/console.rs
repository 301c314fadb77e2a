// SPDX-License-Identifier: ISC
//! A running guest: what it says on its console, until a line that is waited for, or a deadline.

use crate::command::Outcome;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A guest. It is killed when this is dropped.
pub struct Guest {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// All lines so far.
    said: Vec<String>,
    /// Commands so far.
    commands: u32,
}

impl Guest {
    /// Starts QEMU. `interactive`: its console is our terminal and nothing can be waited for.
    pub fn start(mut command: Command, interactive: bool) -> Outcome<Self> {
        if !interactive {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        }
        let shown = command.get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().map_err(|e| format!("{shown}: {e}"))?;
        let (sender, lines) = channel();
        if let Some(output) = child.stdout.take() {
            // The thread ends with QEMU's output.
            std::thread::spawn(move || {
                let mut output = BufReader::new(output);
                let mut line = Vec::new();
                while output.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                    let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                    if sender.send(text).is_err() {
                        return;
                    }
                    line.clear();
                }
            });
        }
        let input = child.stdin.take();
        Ok(Self { child, input, lines, said: Vec::new(), commands: 0 })
    }

    /// Waits for a line that holds this text; the line. `show` gets each line on the way.
    pub fn wait_for(&mut self, text: &str, limit: Duration, mut show: impl FnMut(&str)) -> Outcome<String> {
        let end = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    show(&line);
                    let found = line.contains(text);
                    self.said.push(line.clone());
                    if found {
                        return Ok(line);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(
                        self.complaint(&format!("'{text}' did not come within {} s", limit.as_secs()))
                    );
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.complaint(&format!("the guest ended before '{text}' came")));
                }
            }
        }
    }

    /// Waits until QEMU ends by itself; its exit code.
    pub fn wait_end(&mut self, limit: Duration, mut show: impl FnMut(&str)) -> Outcome<i32> {
        let end = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    show(&line);
                    self.said.push(line);
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(
                        self.complaint(&format!("the guest did not end within {} s", limit.as_secs()))
                    );
                }
                // The output is closed: the process is at its end.
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait().map_err(|e| e.to_string())?;
                    return status.code().ok_or_else(|| self.complaint(&format!("QEMU ended by {status}")));
                }
            }
        }
    }

    /// Waits for the person at the terminal to be done; QEMU's exit code.
    pub fn wait_interactive(&mut self) -> Outcome<i32> {
        let status = self.child.wait().map_err(|e| e.to_string())?;
        Ok(status.code().unwrap_or(-1))
    }

    /// Types this on the console.
    pub fn type_line(&mut self, line: &str) -> Outcome {
        let input = self.input.as_mut().ok_or("the console is the terminal's")?;
        input
            .write_all(format!("{line}\n").as_bytes())
            .and_then(|()| input.flush())
            .map_err(|e| e.to_string())
    }

    /// Runs a command line in the shell on the console; its exit code and the lines that came meanwhile.
    pub fn command(&mut self, line: &str, limit: Duration) -> Outcome<(i32, Vec<String>)> {
        self.commands += 1;
        let from = self.said.len();
        // The echo of this line does not hold what the line prints.
        self.type_line(&format!("{line}; echo end-$((1000 + {})):$?", self.commands))?;
        let end = self.wait_for(&format!("end-{}:", 1000 + self.commands), limit, |_| ())?;
        let code = end.rsplit(':').next().and_then(|code| code.trim().parse().ok());
        let code = code.ok_or_else(|| self.complaint(&format!("no exit code in '{end}'")))?;
        Ok((code, self.said.get(from..).unwrap_or_default().to_vec()))
    }

    /// The same, which must end with exit code 0.
    pub fn must(&mut self, line: &str, limit: Duration) -> Outcome<Vec<String>> {
        match self.command(line, limit)? {
            (0, lines) => Ok(lines),
            (code, _) => Err(self.complaint(&format!("'{line}' ended with exit code {code}"))),
        }
    }

    /// The power goes off: QEMU is killed.
    pub fn cut(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether a line so far holds this text.
    pub fn has_said(&self, text: &str) -> bool {
        self.said.iter().any(|line| line.contains(text))
    }

    /// Whether both have been said, the first one first.
    pub fn has_said_in_order(&self, first: &str, second: &str) -> bool {
        let place = |text: &str| self.said.iter().position(|line| line.contains(text));
        matches!((place(first), place(second)), (Some(first), Some(second)) if first < second)
    }

    /// A message with the last lines of the console behind it.
    pub fn complaint(&self, what: &str) -> String {
        let from = self.said.len().saturating_sub(40);
        let last = self.said.get(from..).unwrap_or_default().join("\n  | ");
        format!("{what}; the console's last lines:\n  | {last}")
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
