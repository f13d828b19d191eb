//! stub
use super::guard::Guard;
use super::send::{NotSent, Outgoing};
use crate::clock::Clock;
use crate::store::delivery::Attempted;
use crate::store::mailer;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
pub(super) async fn send(
    _: &Clock,
    _: &Guard,
    _: &mailer::Row,
    _: Option<&SecretString>,
    _: Outgoing<'_>,
    _: &CancellationToken,
) -> Result<Attempted, NotSent> {
    Err(NotSent::Stopped)
}
