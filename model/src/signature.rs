//! The signing secret of a webhook and the signed content (Standard Webhooks 1.0).
//!
//! This module checks the form of the secret and composes the content. The server computes the hash.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The prefix of a written secret.
pub const PREFIX: &str = "whsec_";

/// Checks a signing secret: 24 to 64 bytes in base64, with or without the prefix. Returns it with the prefix.
///
/// # Errors
/// A sentence that never contains the secret.
pub fn parse_secret(typed: &str) -> Result<String, String> {
    let typed = typed.trim();
    let encoded = typed.strip_prefix(PREFIX).unwrap_or(typed);
    match STANDARD.decode(encoded) {
        Ok(bytes) if (24..=64).contains(&bytes.len()) => Ok(format!("{PREFIX}{encoded}")),
        Ok(bytes) => Err(format!("A signing secret has 24 to 64 bytes; this one has {}.", bytes.len())),
        Err(_) => Err("A signing secret is written in base64, as `openssl rand -base64 32` prints it.".to_owned()),
    }
}

/// Decodes a secret that [`parse_secret`] returned.
pub fn secret_bytes(secret: &str) -> Option<Vec<u8>> {
    STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()
}

/// Returns the content to sign: `id.timestamp.body`.
pub fn signed_content(id: &str, timestamp: i64, body: &[u8]) -> Vec<u8> {
    [format!("{id}.{timestamp}.").as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_secret_is_base64_of_24_to_64_bytes() {
        let good = STANDARD.encode([7; 24]);
        assert_eq!(parse_secret(&good), Ok(format!("whsec_{good}")));
        assert_eq!(parse_secret(&format!(" whsec_{good}\n")), Ok(format!("whsec_{good}")));
        assert_eq!(secret_bytes(&format!("whsec_{good}")), Some(vec![7; 24]));
        for bad in [STANDARD.encode([7; 23]), STANDARD.encode([7; 65]), "whsec_%%%".into(), String::new()] {
            let message = parse_secret(&bad).expect_err("refused");
            assert!(bad.is_empty() || !message.contains(&bad), "{message}");
        }
    }
}
