//! The simulator as a process: `ec2-sim --port 4570 [--host 127.0.0.1]`.

use std::io::Write as _;
use std::net::IpAddr;

use tracing_subscriber::EnvFilter;

/// Where to listen.
struct Arguments {
    host: IpAddr,
    port: u16,
}

/// What is wrong with how the program was called or started.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("{0}\nusage: ec2-sim [--port 4570] [--host 127.0.0.1]")]
    Usage(String),
    #[error("cannot listen on {host}:{port}")]
    Listen {
        host: IpAddr,
        port: u16,
        source: std::io::Error,
    },
    #[error("the server stopped")]
    Serve(#[from] std::io::Error),
}

#[tokio::main]
async fn main() -> Result<(), StartError> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn")))
        .with_writer(std::io::stderr)
        .init();
    let Arguments { host, port } = read_arguments(std::env::args().skip(1))?;
    let listener = tokio::net::TcpListener::bind((host, port))
        .await
        .map_err(|source| StartError::Listen { host, port, source })?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on http://{}", listener.local_addr()?)?;
    stdout.flush()?;
    ec2_sim::serve(listener).await?;
    Ok(())
}

fn read_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, StartError> {
    let mut read = Arguments {
        host: IpAddr::from([127, 0, 0, 1]),
        port: 4570,
    };
    while let Some(flag) = arguments.next() {
        let value = arguments
            .next()
            .ok_or_else(|| StartError::Usage(format!("{flag} needs a value")))?;
        let bad = || StartError::Usage(format!("{flag} cannot be {value:?}"));
        match flag.as_str() {
            "--port" => read.port = value.parse().map_err(|_| bad())?,
            "--host" => read.host = value.parse().map_err(|_| bad())?,
            _ => return Err(StartError::Usage(format!("unknown argument {flag}"))),
        }
    }
    Ok(read)
}
