//! As much of HTTP/1.1 as the parts need: heads with a content length, on connections that stay open.

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A head and the body behind it, as positions in the bytes read so far.
pub(crate) struct Extent {
    /// The length of the head, with its empty line.
    pub(crate) head: usize,
    /// The length of head and body.
    pub(crate) whole: usize,
}

/// Returns the extent of the first message in these bytes. `None` if its head is not complete.
pub(crate) fn extent(bytes: &[u8]) -> Option<Extent> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let mut length = 0;
    for line in bytes[..head].split(|byte| *byte == b'\n') {
        const NAME: &[u8] = b"content-length:";
        if line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME) {
            length = digits(line[NAME.len()..].trim_ascii_start());
        }
    }
    Some(Extent { head, whole: head + length })
}

/// Returns the number at the start of these bytes, or 0.
pub(crate) fn digits(bytes: &[u8]) -> usize {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: usize, digit| number.wrapping_mul(10).wrapping_add(usize::from(digit - b'0')))
}

/// A connection of a client.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a request and reads its response. Returns the status and the body.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>)> {
        self.stream.write_all(request).await?;
        loop {
            if let Some(Extent { head, whole }) = extent(&self.buffer)
                && self.buffer.len() >= whole
            {
                // `HTTP/1.1 202 Accepted`
                let status = u16::try_from(digits(self.buffer.get(9..head).unwrap_or_default()))?;
                let body = self.buffer[head..whole].to_vec();
                self.buffer.drain(..whole);
                return Ok((status, body));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the connection was closed before a response arrived");
            }
        }
    }

    /// Sends a request without a body to the receiver. Returns the body of its response.
    pub(crate) async fn ask(&mut self, start: &str) -> Result<Vec<u8>> {
        let (status, body) = self.exchange(format!("{start} HTTP/1.1\r\nHost: receiver\r\n\r\n").as_bytes()).await?;
        if status != 200 {
            bail!("the receiver responded {status} to {start}");
        }
        Ok(body)
    }
}
