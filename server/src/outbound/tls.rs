//! Explains failed TLS handshakes to the operator: the cause, and the remedy. No text of the TLS library is shown.

use rustls::{AlertDescription, CertificateError, Error};

/// Returns why the handshake failed, in sentences.
pub(super) fn sentence(error: &Error) -> String {
    format!("No encrypted connection: {}", reason(error))
}

fn reason(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => {
            format!("{} Allow Insecure Certificates is for test systems only.", certificate(error))
        }
        Error::AlertReceived(alert) => alert_reason(*alert),
        Error::PeerIncompatible(_) => {
            "the receiver offers only kinds of encryption that are not safe any more. It needs TLS 1.2 or 1.3."
                .to_owned()
        }
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "the receiver's response is not TLS. Does it speak https on this port?".to_owned()
        }
        Error::NoCertificatesPresented => "the receiver has shown no certificate.".to_owned(),
        _ => "the handshake failed. See the receiver's log.".to_owned(),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the receiver's certificate expired on {}. Have it renewed.", date(not_after.as_secs()))
        }
        CertificateError::Expired => "the receiver's certificate has expired. Have it renewed.".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "the receiver's certificate is valid from {} on. Is the clock of this machine right?",
            date(not_before.as_secs())
        ),
        CertificateError::NotValidYet => {
            "the receiver's certificate is not valid yet. Is the clock of this machine right?".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the receiver's certificate is for {}, and not for {}. Enter the name that it is for, or have one issued for \
             this name.",
            names(presented),
            expected.to_str()
        ),
        CertificateError::NotValidForName => {
            "the receiver's certificate is for another name. Enter the name that it is for.".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "the receiver's certificate is from an authority that this system does not trust, or signed by itself. Put the \
             authority's certificate, or this one, into the system's store."
                .to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the receiver's certificate is not one for servers. Have one issued for server authentication.".to_owned()
        }
        CertificateError::Revoked => "the receiver's certificate was revoked. Have a new one issued.".to_owned(),
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "the receiver's certificate is that of an authority (CA:TRUE), and this system does not have it. Put exactly this \
             certificate into the system's store, or have one issued with CA:FALSE."
                .to_owned()
        }
        _ => "the receiver's certificate cannot be read, or its signature is not right. Have a new one issued.".to_owned(),
    }
}

/// Explains the alert with which the receiver ended the handshake (RFC 8446 §6.2).
fn alert_reason(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnrecognisedName => "the receiver knows no host of this name. Is the name right?".to_owned(),
        AlertDescription::HandshakeFailure
        | AlertDescription::ProtocolVersion
        | AlertDescription::InsufficientSecurity => {
            "the receiver and this server have no kind of encryption in common. It needs TLS 1.2 or 1.3.".to_owned()
        }
        AlertDescription::CertificateRequired | AlertDescription::BadCertificate => {
            "the receiver wants a certificate of the client, which cannot be configured yet.".to_owned()
        }
        _ => "the receiver ended the handshake. See its log.".to_owned(),
    }
}

fn names(presented: &[String]) -> String {
    // The library writes each name as `DnsName("a.example")`.
    let bare = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
    match presented {
        [] => "no name".to_owned(),
        few => few.iter().take(3).map(bare).collect::<Vec<_>>().join(", "),
    }
}

fn date(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    at.map_or_else(|| "an unknown day".to_owned(), |at| at.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::{ServerName, UnixTime};
    use std::time::Duration;

    #[test]
    fn sentences_name_cause_and_remedy_without_library_texts() {
        let day = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expired = CertificateError::ExpiredContext { time: day(1_800_000_000), not_after: day(1_735_689_600) };
        assert!(certificate(&expired).contains("expired on 2025-01-01. Have it renewed."));
        let early = CertificateError::NotValidYetContext { time: day(0), not_before: day(1_735_689_600) };
        assert!(certificate(&early).contains("valid from 2025-01-01 on"));
        let other = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("b.example").unwrap(),
            presented: vec!["DnsName(\"a.example\")".into(), "DnsName(\"*.a.example\")".into()],
        };
        assert!(certificate(&other).contains("is for a.example, *.a.example, and not for b.example"));
        for error in [
            Error::InvalidCertificate(CertificateError::UnknownIssuer),
            Error::AlertReceived(AlertDescription::HandshakeFailure),
            Error::General("InternalName".into()),
        ] {
            let text = sentence(&error);
            assert!(text.starts_with("No encrypted connection: the ") && text.ends_with('.'), "{text}");
            assert!(!text.contains("Issuer") && !text.contains("InternalName"), "{text}");
        }
    }
}
