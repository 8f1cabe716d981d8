//! Witnesses of the network: what `ip` and `bridge` say, and what answers on a TCP port.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// All links of the current network namespace with their addresses, as `ip -j -d address` shows them.
pub fn links() -> io::Result<Vec<Value>> {
    list("ip", &["-j", "-d", "address"])
}

/// The link of that name in the current network namespace.
pub fn link(name: &str) -> io::Result<Option<Value>> {
    Ok(links()?.into_iter().find(|link| link["ifname"] == name))
}

/// The bridge that the link `name` is a port of, as `bridge -j link` shows it.
pub fn bridge_of(name: &str) -> io::Result<Option<String>> {
    let ports = list("bridge", &["-j", "link"])?;
    let port = ports.into_iter().find(|port| port["ifname"] == name);
    Ok(port.and_then(|port| port["master"].as_str().map(str::to_owned)))
}

/// What a tool shows as a list.
pub(crate) fn list(program: &str, args: &[&str]) -> io::Result<Vec<Value>> {
    match json(program, args)? {
        Value::Array(list) => Ok(list),
        // `bridge -j link` prints nothing at all when there is no port.
        Value::Null => Ok(Vec::new()),
        other => Err(io::Error::other(format!("{program} {}: is no list: {other}", args.join(" ")))),
    }
}

/// What a tool shows; `Null` of nothing.
pub(crate) fn json(program: &str, args: &[&str]) -> io::Result<Value> {
    let text = text(program, args)?;
    if text.trim_ascii().is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&text)?) }
}

/// What a tool that succeeds says.
pub(crate) fn text(program: &str, args: &[&str]) -> io::Result<String> {
    let output = Command::new(program).args(args).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let said = text(&output.stderr);
    Err(io::Error::other(format!("{program} {}: {}", args.join(" "), said.trim_end())))
}

/// The body of `http://ADDRESS/`. Tries again until the service answers with status 200, or the deadline.
pub fn page(address: SocketAddr, within: Duration) -> io::Result<String> {
    let host = address.ip();
    until(within, |left| {
        let mut stream = connect(address, left)?;
        stream.write_all(format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) =
            answer.split_once("\r\n\r\n").ok_or_else(|| io::Error::other("answer without a header"))?;
        let status = head.lines().next().unwrap_or_default();
        if status.split(' ').nth(1) == Some("200") {
            Ok(body.to_owned())
        } else {
            Err(io::Error::other(status.to_owned()))
        }
    })
    .map_err(|error| io::Error::new(error.kind(), format!("get http://{address}/: {error}")))
}

/// The first line that a service at `address` says by itself, as an SSH server does.
pub fn banner(address: SocketAddr, within: Duration) -> io::Result<String> {
    until(within, |left| {
        let mut stream = connect(address, left)?;
        let mut line = Vec::new();
        let mut byte = [0];
        while line.len() < 255 && stream.read(&mut byte)? == 1 && byte != *b"\n" {
            line.extend(byte);
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if text.is_empty() { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(text) }
    })
    .map_err(|error| io::Error::new(error.kind(), format!("read banner of {address}: {error}")))
}

fn connect(address: SocketAddr, left: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, left)?;
    stream.set_read_timeout(Some(left))?;
    Ok(stream)
}

/// A service gives no sign when it begins to listen, so it is asked again and again until the deadline.
fn until<T>(within: Duration, mut attempt: impl FnMut(Duration) -> io::Result<T>) -> io::Result<T> {
    let deadline = Instant::now() + within;
    loop {
        // A timeout of zero is an error to the socket calls.
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match attempt(left) {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers one connection with `text` after reading what is sent up to an empty line, if asked to.
    fn serve(text: &'static str, reads_request: bool) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            if reads_request {
                let mut request = [0; 512];
                assert!(stream.read(&mut request).unwrap() > 0);
            }
            stream.write_all(text.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn page_gives_the_body() {
        let address = serve("HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\nhello\n", true);
        assert_eq!(page(address, Duration::from_secs(5)).unwrap(), "hello\n");
    }

    #[test]
    fn page_refuses_another_status() {
        let address = serve("HTTP/1.0 404 Not Found\r\n\r\nno", true);
        let error = page(address, Duration::ZERO).unwrap_err().to_string();
        assert!(error.ends_with("HTTP/1.0 404 Not Found"), "{error}");
    }

    #[test]
    fn banner_is_the_first_line() {
        let address = serve("SSH-2.0-test\r\nmore", false);
        assert_eq!(banner(address, Duration::from_secs(5)).unwrap(), "SSH-2.0-test");
    }

    #[test]
    fn nobody_listening_is_an_error_at_the_deadline() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = page(address, Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}
