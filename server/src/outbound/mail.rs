//! stub
#![expect(missing_docs, reason = "stub")]
pub fn build(
    _: &model::email::Email,
    _: &model::email::RenderedEmail,
    _: &model::mailer::Settings,
    _: uuid::Uuid,
    _: model::time::Timestamp,
) -> Result<Vec<u8>, String> {
    Err(String::new())
}
