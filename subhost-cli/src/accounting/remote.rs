//! A sample of another host: what `subhostctl usage --json` says there, over ssh.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::sample::Sample;
use super::time::Time;

/// How long one host may take for all.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How long it may take to connect, in seconds.
const CONNECT_SECONDS: u32 = 10;
/// More than a host with thousands of subhosts says.
const ANSWER_MAX_BYTES: u64 = 16 << 20;
/// How much of what ssh complains of is told.
const COMPLAINT_MAX_BYTES: u64 = 4 << 10;

/// A host as ssh is given it: `HOST` or `USER@HOST`, where `HOST` may be a name of ssh's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteHost {
    destination: String,
}

impl FromStr for RemoteHost {
    type Err = String;

    /// What begins with `-` would be an option of ssh.
    fn from_str(text: &str) -> Result<RemoteHost, String> {
        let is_plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with('-')
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:%".contains(&byte))
        };
        match text.split_once('@') {
            Some((user, host)) if is_plain(user) && is_plain(host) => {}
            None if is_plain(text) => {}
            _ => {
                return Err("it has to be HOST or USER@HOST, of letters, digits and . _ - : %, \
                            and neither begins with -"
                    .to_owned());
            }
        }
        Ok(RemoteHost { destination: text.to_owned() })
    }
}

impl RemoteHost {
    /// The host without its user: the name that its samples are kept under.
    pub fn name(&self) -> &str {
        self.destination.split_once('@').map_or(&self.destination, |(_, host)| host)
    }

    /// As ssh is given it, with the user.
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// Takes a sample there. Its host is the one that was asked, whatever it calls itself, and its time is ours.
    ///
    /// # Errors
    /// ssh cannot be started, says that it failed, takes too long, or what comes is no sample.
    pub fn look(&self, since: Option<Time>) -> io::Result<Sample> {
        let mut command = Command::new("ssh");
        command.args(["-oBatchMode=yes", &format!("-oConnectTimeout={CONNECT_SECONDS}"), "-T", "--"]);
        command.arg(&self.destination).args(["subhostctl", "--json", "usage"]);
        command.args(since.map(|since| format!("--since={}", since.text())));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut ssh =
            command.spawn().map_err(|error| io::Error::new(error.kind(), format!("ssh: {error}")))?;
        let answer = read_beside(ssh.stdout.take(), ANSWER_MAX_BYTES);
        let complaint = read_beside(ssh.stderr.take(), COMPLAINT_MAX_BYTES);
        let deadline = Instant::now() + PATIENCE;
        let answer = answer.recv_timeout(PATIENCE);
        // One may have closed its output and go on.
        let status = loop {
            match ssh.try_wait()? {
                Some(status) if answer.is_ok() => break Some(status),
                None if answer.is_ok() && Instant::now() < deadline => std::thread::sleep(LOOK_AGAIN),
                _ => break None,
            }
        };
        let (Ok(answer), Some(status)) = (answer, status) else {
            let _ = ssh.kill();
            ssh.wait()?;
            return Err(io::Error::other(format!("has not answered in {} s", PATIENCE.as_secs())));
        };
        if !status.success() {
            let said = complaint.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
            let said = String::from_utf8_lossy(&said).trim().replace('\n', "; ");
            return Err(io::Error::other(format!("ssh: {status}: {said}")));
        }
        self.sample(&answer, Time::now())
    }

    fn sample(&self, answer: &[u8], time: Time) -> io::Result<Sample> {
        let sample: Sample = serde_json::from_slice(answer)
            .map_err(|error| io::Error::other(format!("what it has answered is not a sample: {error}")))?;
        Ok(Sample { host: self.name().to_owned(), time: time.text(), ..sample })
    }
}

/// Reads in a thread of its own, so that neither waits for the other.
fn read_beside(stream: Option<impl Read + Send + 'static>, max_bytes: u64) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.by_ref().take(max_bytes).read_to_end(&mut bytes);
            let _ = sender.send(bytes);
            let _ = io::copy(&mut stream, &mut io::sink());
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_no_option_and_no_command() {
        for (text, name) in
            [("web1", "web1"), ("root@10.0.0.1", "10.0.0.1"), ("fe80::1%eth0", "fe80::1%eth0")]
        {
            assert_eq!(text.parse::<RemoteHost>().unwrap().name(), name);
        }
        for text in [
            "",
            "-oProxyCommand=id",
            "a@-b",
            "-a@b",
            "@b",
            "a@",
            "a b",
            "a;b",
            "$(id)",
            "a@b@c",
            "ssh://a",
            "a\n",
        ] {
            assert!(text.parse::<RemoteHost>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_host_is_what_it_was_asked_as_whatever_it_says() {
        let host: RemoteHost = "root@beta".parse().unwrap();
        let answer = br#"{"version":1,"time":"x","host":"alpha","boot_id":"b","processors":1,"interval_seconds":null,"rows":[]}"#;
        let sample = host.sample(answer, Time(0)).unwrap();
        assert_eq!((&*sample.host, &*sample.time), ("beta", "1970-01-01T00:00:00.000Z"));
        assert!(host.sample(b"{}", Time(0)).is_err());
    }
}
