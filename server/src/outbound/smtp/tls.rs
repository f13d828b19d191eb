//! Encryption of SMTP sessions. Certificates are verified by the rules for webhooks.

use super::failure::Trouble;
use crate::outbound::client::trust;
use crate::outbound::failure::{find, sentence, used_up};
use crate::outbound::tls;
use model::delivery::ErrorCode;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The encryption of one session.
pub(super) struct Security {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Security {
    /// Returns the encryption of a session with this host: a name in ASCII, or an IP address.
    ///
    /// # Errors
    /// Fails when the system's certificates cannot be read, or when the host is no name that a certificate can have.
    pub(super) async fn new(host: &str, allows_insecure_tls: bool) -> Result<Self, Trouble> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            Trouble::failed(ErrorCode::Tls, "No encrypted connection: no certificate can be for a host of this name.")
        })?;
        let mut config = if allows_insecure_tls {
            let verifier = Arc::new(AnyCertificate(algorithms()));
            ClientConfig::builder().dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        } else {
            // The system's store is read from files, which blocks.
            let read = tokio::task::spawn_blocking(trust::client_config).await;
            let read = read.map_err(|_| Trouble::failed(ErrorCode::Internal, "The certificates could not be read."))?;
            read.map_err(|unread| match unread.os_error.and_then(used_up) {
                Some(resource) => Trouble::Shortage(resource),
                None => Trouble::failed(ErrorCode::Tls, &sentence(&unread)),
            })?
        };
        config.alpn_protocols.clear();
        Ok(Self { config: Arc::new(config), name })
    }
}

/// Makes the handshake.
pub(super) async fn handshake(security: &Security, tcp: TcpStream) -> Result<TlsStream<TcpStream>, Trouble> {
    let connector = TlsConnector::from(security.config.clone());
    connector.connect(security.name.clone(), tcp).await.map_err(|error| trouble(&error))
}

/// Explains why the encrypted connection failed.
pub(super) fn trouble(error: &io::Error) -> Trouble {
    let text = match find::<Error>(error) {
        Some(
            Error::InvalidMessage(_) | Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. },
        ) => {
            "No encrypted connection: the mail server's response is not TLS. A port that begins without encryption, such \
             as 587 or 25, needs STARTTLS instead of TLS."
                .to_owned()
        }
        Some(error) => tls::sentence(error),
        None => "No encrypted connection: the mail server hung up in the handshake.".to_owned(),
    };
    Trouble::failed(ErrorCode::Tls, &text)
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    let provider = CryptoProvider::get_default().cloned();
    let provider = provider.unwrap_or_else(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    provider.signature_verification_algorithms
}

/// Accepts every certificate, for settings that allow insecure ones.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
