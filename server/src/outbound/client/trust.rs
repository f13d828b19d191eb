//! Verifies the certificates of receivers against the system's certificate store.
//!
//! Two kinds of certificates are accepted: those that an authority in the store has signed, and those that are in the
//! store themselves. Name and dates are checked for both. Each new client reads the store again, so that a certificate
//! that an administrator installs is accepted within minutes.

use model::number::to_u64;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_native_certs::{CertificateResult, ErrorKind};
use std::sync::Arc;
use x509_parser::x509::X509Version;

/// The system's store could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the certificates of this system cannot be read: look at SSL_CERT_FILE and SSL_CERT_DIR")]
pub struct Unread {
    /// The operating system's number of the error.
    pub os_error: Option<i32>,
}

/// Returns the TLS settings of clients that verify their receivers.
///
/// # Errors
/// Fails with [`Unread`] when the store cannot be read, or can be read only in part because this machine lacks a
/// resource: a client would use the incomplete store for minutes.
pub(in crate::outbound) fn client_config() -> Result<ClientConfig, Unread> {
    let read = rustls_native_certs::load_native_certs();
    if let Some(number) = shortage(&read) {
        return Err(Unread { os_error: Some(number) });
    }
    if read.certs.is_empty() && !is_without_store(&read) {
        // A store that exists or is configured restricts trust. The built-in authorities must not replace it.
        return Err(Unread { os_error: None });
    }
    let verifier = Verifier::new(read.certs).map_err(|_| Unread { os_error: None })?;
    let mut config =
        ClientConfig::builder().dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
    config.alpn_protocols = vec!["http/1.1".into()];
    Ok(config)
}

/// Logs at startup when the system has no certificates, or they cannot be read.
pub fn warn_without_store() {
    let read = rustls_native_certs::load_native_certs();
    if read.certs.is_empty() && !is_without_store(&read) {
        tracing::error!("the certificates of this system cannot be read: nothing is sent by https until they can");
    } else if read.certs.is_empty() {
        tracing::warn!(
            "this system has no certificates of authorities; those included in this version are used. Install the \
             package ca-certificates to keep them up to date"
        );
    }
}

/// Reports whether the system has no store at all, as opposed to one that cannot be read.
fn is_without_store(read: &CertificateResult) -> bool {
    let is_absent =
        |kind: &ErrorKind| matches!(kind, ErrorKind::Io { inner, .. } if inner.kind() == std::io::ErrorKind::NotFound);
    let is_named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
    !is_named && read.errors.iter().all(|error| is_absent(&error.kind))
}

/// Returns the operating system's number of the error, if a part of the store was not read because this machine lacks a
/// resource.
fn shortage(read: &CertificateResult) -> Option<i32> {
    let number = |kind: &ErrorKind| match kind {
        ErrorKind::Io { inner, .. } => inner.raw_os_error(),
        _ => None,
    };
    read.errors
        .iter()
        .filter_map(|error| number(&error.kind))
        .find(|number| crate::outbound::failure::used_up(*number).is_some())
}

/// Accepts certificates that an authority in the store has signed, and certificates that are in the store.
#[derive(Debug)]
struct Verifier {
    authorities: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
    installed: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(installed: Vec<CertificateDer<'static>>) -> Result<Self, rustls::client::VerifierBuilderError> {
        let mut roots = RootCertStore::empty();
        // Certificates that cannot be parsed are skipped. A receiver's certificate in the store is no authority,
        // although the library would accept it as one.
        roots.add_parsable_certificates(installed.iter().filter(|certificate| is_authority(certificate)).cloned());
        if installed.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        // A store may contain only receivers' certificates.
        let authorities =
            if roots.is_empty() { None } else { Some(WebPkiServerVerifier::builder(Arc::new(roots)).build()?) };
        let provider = CryptoProvider::get_default().cloned();
        let provider = provider.unwrap_or_else(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        Ok(Self { authorities, installed, algorithms: provider.signature_verification_algorithms })
    }
}

/// Reports whether a certificate may sign others (RFC 5280 §4.2.1.9). Certificates before version 3 have no field for
/// that, and count as roots.
fn is_authority(certificate: &CertificateDer<'_>) -> bool {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else { return false };
    parsed.version() != X509Version::V3 || parsed.is_ca()
}

/// Checks the name and the dates of a certificate that is in the store. Its chain is not verified: the store vouches
/// for the certificate, and the chain of a self-signed one (`openssl req -x509`) cannot be verified.
fn verify_installed(certificate: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
    let unreadable = || Error::InvalidCertificate(CertificateError::BadEncoding);
    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| unreadable())?;
    let at = |time: x509_parser::time::ASN1Time| {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(to_u64(time.timestamp())))
    };
    let (not_before, not_after) = (at(parsed.validity().not_before), at(parsed.validity().not_after));
    if now < not_before {
        return Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { time: now, not_before }));
    }
    if now > not_after {
        return Err(Error::InvalidCertificate(CertificateError::ExpiredContext { time: now, not_after }));
    }
    Ok(())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = match &self.authorities {
            Some(authorities) => {
                authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        };
        if verified.is_err() && self.installed.iter().any(|installed| installed == end_entity) {
            return verify_installed(end_entity, server_name, now).map(|()| ServerCertVerified::assertion());
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use std::time::Duration;

    const DAY: u64 = 86_400;
    /// The time from which the certificates of these tests are valid, in Unix seconds.
    const BEGIN: i64 = 1_750_000_000;

    /// Returns a self-signed certificate for `a.example`, valid for ten days. With `is_ca` it is an authority too, as
    /// `openssl req -x509` makes it.
    fn certificate(is_ca: bool) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
        params.not_before = time::OffsetDateTime::from_unix_timestamp(BEGIN).unwrap();
        params.not_after = params.not_before + Duration::from_secs(10 * DAY);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn verify(verifier: &Verifier, shown: &CertificateDer<'_>, name: &str, day: i64) -> Result<(), CertificateError> {
        let now = u64::try_from(BEGIN + day * 86_400).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let name = ServerName::try_from(name).unwrap();
        match verifier.verify_server_cert(shown, &[], &name, &[], now) {
            Ok(_) => Ok(()),
            Err(Error::InvalidCertificate(error)) => Err(error),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn installed_certificate_is_accepted_for_its_name_and_dates_only() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        for is_ca in [true, false] {
            let (installed, other) = (certificate(is_ca), certificate(is_ca));
            let verifier = Verifier::new(vec![installed.clone()]).unwrap();
            assert_eq!(verify(&verifier, &installed, "a.example", 1), Ok(()), "{is_ca}");
            let refused = |name, day| verify(&verifier, &installed, name, day).unwrap_err();
            assert!(matches!(refused("b.example", 1), CertificateError::NotValidForNameContext { .. }), "{is_ca}");
            assert!(matches!(refused("a.example", 11), CertificateError::ExpiredContext { .. }), "{is_ca}");
            assert!(matches!(refused("a.example", -1), CertificateError::NotValidYetContext { .. }), "{is_ca}");
            assert!(verify(&verifier, &other, "a.example", 1).is_err(), "of the same name and another key: {is_ca}");
        }
    }

    #[test]
    fn installed_receiver_certificate_is_no_authority_for_others() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut params = CertificateParams::new(vec!["nas.example".to_owned()]).unwrap();
        params.is_ca = IsCa::ExplicitNoCa;
        params.not_before = time::OffsetDateTime::from_unix_timestamp(BEGIN).unwrap();
        params.not_after = params.not_before + Duration::from_secs(10 * DAY);
        let nas = CertifiedIssuer::self_signed(params.clone(), KeyPair::generate().unwrap()).unwrap();
        params.subject_alt_names = CertificateParams::new(vec!["bank.example".to_owned()]).unwrap().subject_alt_names;
        let forged = params.signed_by(&KeyPair::generate().unwrap(), &nas).unwrap();
        for others in [vec![], vec![certificate(true)]] {
            let verifier = Verifier::new([vec![nas.der().clone()], others].concat()).unwrap();
            assert_eq!(verify(&verifier, nas.der(), "nas.example", 1), Ok(()));
            assert!(verify(&verifier, forged.der(), "bank.example", 1).is_err());
        }
    }

    #[test]
    fn built_in_authorities_are_used_without_a_store() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let verifier = Verifier::new(Vec::new()).unwrap();
        assert_eq!(verify(&verifier, &certificate(false), "a.example", 1), Err(CertificateError::UnknownIssuer));
    }
}
