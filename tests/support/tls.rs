//! A certificate authority for one test: clients that refuse plain HTTP trust it for as long as
//! the test runs.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// The authority's certificate, and a certificate with its key for this machine's own addresses.
pub struct Authority {
    folder: tempfile::TempDir,
}

impl Authority {
    /// Makes both.
    pub fn new() -> Authority {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: String| {
            std::fs::write(folder.path().join(name), text).expect("a PEM file");
        };
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        // Of the same name as the other it would pass for the other's own signature.
        params
            .distinguished_name
            .push(DnType::CommonName, "The test's authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = params.self_signed(&key).expect("an authority");
        write("authority.pem", authority.pem());
        let issuer = Issuer::new(params, key);
        let names = ["localhost", "127.0.0.1"].map(str::to_owned).to_vec();
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(names)
            .expect("parameters")
            .signed_by(&key, &issuer)
            .expect("a certificate");
        write("server.pem", certificate.pem());
        write("server.key", key.serialize_pem());
        Authority { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a client has to trust.
    pub fn certificate(&self) -> PathBuf {
        self.file("authority.pem")
    }

    /// The settings of a server under this authority.
    pub fn settings(&self) -> String {
        let quoted = |file: &Path| serde_json::Value::from(file.to_str()).to_string();
        format!(
            "[tls]\ncert = {}\nkey = {}",
            quoted(&self.file("server.pem")),
            quoted(&self.file("server.key"))
        )
    }
}
