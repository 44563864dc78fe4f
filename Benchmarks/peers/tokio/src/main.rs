//! tokio with a task for each connection, on one OS thread.  TERM ends it.

use std::io::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn buffer_size() -> usize {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("--buffer"), Some(size)) => size.parse().expect("--buffer BYTES"),
        _ => 16384,
    }
}

async fn serve(mut stream: TcpStream, size: usize) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; size];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        buffer[..count].make_ascii_uppercase();
        stream.write_all(&buffer[..count]).await?;
    }
}

async fn accept_all() -> Result<()> {
    let size = buffer_size();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("listening on {} model=tokio pid={}", listener.local_addr()?, std::process::id());
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, size));
    }
}

fn main() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(accept_all())
}
