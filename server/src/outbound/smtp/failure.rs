//! The reason why a session ended early, and the outcome of the attempt.

use super::Progress;
use model::delivery::{ErrorCode, Outcome};
use model::email::{self, Failure, Judged};
use model::mailer::{Encryption, Settings};

/// The reason why a session ended before every recipient was addressed.
pub(super) enum Trouble {
    /// A failure of the session or, when it leaves no recipient pending, of the message.
    Failed(Failure),
    /// The time was up.
    TimedOut,
    /// Hookwright stopped.
    Cut,
    /// This machine lacks the named resource; nothing was sent.
    Shortage(&'static str),
}

impl Trouble {
    /// Returns a failure without a reply. `sentence` is for the operator.
    pub(super) fn failed(code: ErrorCode, sentence: &str) -> Self {
        Self::Failed(Failure { code, status_code: None, sentence: sentence.to_owned() })
    }
}

/// Returns the outcome of an attempt.
pub(super) fn judge(settings: &Settings, progress: &Progress, trouble: Option<Trouble>) -> Judged {
    match trouble {
        // The message can never reach any recipient through this server.
        Some(Trouble::Failed(Failure { code, status_code, sentence })) if progress.is_settled() => {
            let outcome = Outcome::Failed { code, status_code, retry_after: None };
            Judged { outcome, status_code, error: Some(sentence) }
        }
        trouble => {
            let failure = trouble.map(|trouble| explain(settings, progress, trouble));
            email::judge(&progress.recipients, failure, progress.status_code)
        }
    }
}

fn explain(settings: &Settings, progress: &Progress, trouble: Trouble) -> Failure {
    let failure = |code, sentence| Failure { code, status_code: None, sentence };
    match trouble {
        Trouble::Failed(failure) => failure,
        Trouble::Shortage(resource) => failure(ErrorCode::Internal, format!("This machine lacks {resource}.")),
        Trouble::Cut => failure(ErrorCode::Internal, "Hookwright was stopped during the session.".to_owned()),
        Trouble::TimedOut => {
            let seconds = settings.timeout.as_secs();
            let Some(wire) = &progress.wire else {
                return failure(ErrorCode::Timeout, format!("No connection within {seconds} s."));
            };
            let awaited = wire.awaited();
            let may_be_encrypted = wire.greeted_at().is_none() && settings.encryption != Encryption::Tls;
            let hint = " A port that is encrypted from the beginning, such as 465, needs TLS.";
            let hint = if may_be_encrypted { hint } else { "" };
            let sentence = format!("The mail server took too long: {awaited} had not come after {seconds} s.{hint}");
            failure(ErrorCode::Timeout, sentence)
        }
    }
}
