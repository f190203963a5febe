//! COPY as fast as it can be: the words of Postgres's protocol version 3, the whole of a batch in one write, nothing waited for in between.
//! (A client that sends the command, the rows and the end one after the other pays for round trips and delayed ACKs instead.)

use std::{
    io::{BufReader, Read, Write},
    net::TcpStream,
};

use anyhow::{Context, bail};

/// A connection; blocking.
pub struct Wire {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Wire {
    /// Connects to a server that trusts its own machine, as `tests/services.sh` starts one.
    pub fn connect(url: &str) -> anyhow::Result<Self> {
        let (login, place) = url.split_once("://").context("a URL")?.1.split_once('@').context("a user")?;
        let (address, database) = place.split_once('/').context("a database")?;
        let user = login.split(':').next().unwrap_or_default();
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let reader = BufReader::with_capacity(256 * 1024, stream.try_clone()?);
        let mut this = Self { stream, reader };
        let parameters = format!("user\0{user}\0database\0{database}\0\0");
        let mut startup = u32::try_from(parameters.len() + 8)?.to_be_bytes().to_vec();
        startup.extend_from_slice(&196_608_u32.to_be_bytes());
        startup.extend_from_slice(parameters.as_bytes());
        this.stream.write_all(&startup)?;
        this.until_ready(|kind, body| match (kind, body) {
            (b'R', [0, 0, 0, 0]) => Ok(()),
            (b'R', _) => bail!("this Postgres wants a password, which the reference does not know how to give"),
            _ => Ok(()),
        })?;
        Ok(this)
    }

    /// A `COPY … FROM STDIN` of these rows: one transaction.
    pub fn copy_in(&mut self, sql: &str, rows: &[u8]) -> anyhow::Result<()> {
        let mut bytes = Vec::with_capacity(rows.len() + sql.len() + 32);
        message(&mut bytes, b'Q', &[sql.as_bytes(), &[0]])?;
        message(&mut bytes, b'd', &[rows])?;
        message(&mut bytes, b'c', &[])?;
        self.stream.write_all(&bytes)?;
        self.until_ready(|_, _| Ok(()))
    }

    /// A `COPY … TO STDOUT`: how many rows came.
    pub fn copy_out(&mut self, sql: &str) -> anyhow::Result<u64> {
        let mut bytes = Vec::new();
        message(&mut bytes, b'Q', &[sql.as_bytes(), &[0]])?;
        self.stream.write_all(&bytes)?;
        let mut rows = 0;
        self.until_ready(|kind, _| {
            rows += u64::from(kind == b'd');
            Ok(())
        })?;
        Ok(rows)
    }

    /// Reads messages until the server is ready for the next command.
    fn until_ready(&mut self, mut each: impl FnMut(u8, &[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut body = Vec::new();
        let mut failed = None;
        loop {
            let mut head = [0; 5];
            self.reader.read_exact(&mut head)?;
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            body.resize(length.saturating_sub(4), 0);
            self.reader.read_exact(&mut body)?;
            match head[0] {
                b'Z' => return failed.map_or(Ok(()), |text: String| bail!("Postgres refused: {text}")),
                b'E' => failed = Some(String::from_utf8_lossy(&body).replace('\0', " ")),
                kind => each(kind, &body)?,
            }
        }
    }
}

/// A message: its kind, its length, its parts.
fn message(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) -> anyhow::Result<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.push(kind);
    out.extend_from_slice(&u32::try_from(length + 4)?.to_be_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
    Ok(())
}
