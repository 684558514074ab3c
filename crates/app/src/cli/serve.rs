//! `umpire serve`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Common, flag};
use crate::exit::Failure;
use crate::wiring::{self, Server};

/// Serve the services of a data directory.
///
/// The first line on standard output says where: `listening on http://127.0.0.1:8420`. SIGTERM
/// ends in order: `/readyz` answers 503, no more connections are taken, calls under way finish,
/// containers end. A second SIGTERM ends at once.
#[derive(Debug, Args)]
#[command(after_help = "\
Health: /livez, /readyz. Metrics in the OpenMetrics text form: /metrics.
Every setting can be set by --set KEY=VALUE; `umpire config --verbose` explains them.")]
pub(crate) struct Serve {
    /// The address to listen on; port 0 takes a free one [default: 127.0.0.1:8420]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The data directory [default: ./umpire-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// TLS with this certificate chain, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// TLS with a certificate made at start, for development
    #[arg(long, conflicts_with = "tls_cert")]
    tls: Option<Tls>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Tls {
    SelfSigned,
}

impl Serve {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let mut flags = Vec::new();
        let text = |path: &Option<PathBuf>| path.as_ref().map(|p| p.to_string_lossy().into_owned());
        flag(&mut flags, "listen", "--listen", self.listen.as_deref());
        flag(&mut flags, "data", "--data", text(&self.data).as_deref());
        flag(
            &mut flags,
            "tls.cert",
            "--tls-cert",
            text(&self.tls_cert).as_deref(),
        );
        flag(
            &mut flags,
            "tls.key",
            "--tls-key",
            text(&self.tls_key).as_deref(),
        );
        let mode = self.tls.map(|Tls::SelfSigned| "self-signed");
        flag(&mut flags, "tls.mode", "--tls", mode);
        let sources = common.sources(flags);
        let settings = crate::config::load(&sources)
            .map_err(Failure::Config)?
            .settings;
        wiring::runtime(&settings)?.block_on(async {
            let server = Server::start(sources).await?;
            server.run(std::future::pending()).await
        })
    }
}
