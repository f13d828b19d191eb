//! The form of the mailer: plain, without an island. CSS alone shows the warnings of the chosen settings.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::part::icon::Icon;
use crate::part::typed_field::{address, foot, number, revision, secret, select, switch, text};
use crate::view::mailer::MailerForm;
use leptos::prelude::*;
use model::access::Permission;
use model::mailer::Encryption;

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    if !asked.may(Permission::Administer) {
        return Err(AppError::forbidden());
    }
    let loaded = asked.backend.mailers.load_form().await?;
    Ok(Page::new("SMTP settings", form(&asked, &loaded)).below("/smtp", "SMTP"))
}

/// Renders the form.
pub(super) fn form(asked: &Asked, loaded: &MailerForm) -> AnyView {
    let draft = &loaded.draft;
    let encryptions = Encryption::ALL.map(|one| (one.as_str().to_owned(), one.label().to_owned()));
    // If a refused form has lost the typed password, the stored one is not what the person meant.
    let is_lost = !asked.typed_or("retype", "").is_empty();
    view! {
        <form method="post" class="l-form" action="/smtp/edit" novalidate>
            <section class="c-card l-narrow" aria-labelledby="mailer">
                <header class="c-card__head">
                    <h2 class="c-card__title" id="mailer">"Mail server"</h2>
                    <span class="u-xs u-muted"><span class="u-danger" aria-hidden="true">"*"</span>" required"</span>
                </header>
                <div class="c-card__body l-stack l-stack--fields">
                    {revision(asked, &draft.revision)}
                    {text(asked, "server", "Server", true, &draft.server, "Its name or IP address. E-mails go there directly, never through the egress proxy.")}
                    <div class="c-encryption l-stack l-stack--tight">
                        <div class="l-fields">
                            {select(asked, "encryption", "Encryption", &draft.encryption, encryptions.into())}
                            {number(asked, "port", "Port", &draft.port, "", "Mostly 587 with STARTTLS, 465 with TLS, and 25 with None.")}
                        </div>
                        <div class="c-note c-note--warn c-encryption__warning">
                            <Icon name="warn"/>
                            <p>
                                <strong>"Anyone between here and the server can read and change every e-mail."</strong>
                                " Meant for a server on this machine or on a closed network."
                            </p>
                        </div>
                    </div>
                    <div class="c-insecure l-stack l-stack--tight">
                        {switch(asked, "allow_insecure".to_owned(), "Allow Insecure Certificates".to_owned(), draft.allow_insecure == "true")}
                        <div class="c-note c-note--warn c-insecure__warning">
                            <Icon name="warn"/>
                            <p>
                                <strong>"Anyone between here and the server can read and change what is sent, the password too."</strong>
                                " Meant for self-signed test systems; risky in production."
                            </p>
                        </div>
                    </div>
                    {text(asked, "username", "Username", false, &draft.username, "Empty if the server asks for none.")}
                    {secret(asked, "password", "Password", loaded.has_password && !is_lost)}
                    {retype(asked, loaded.has_password)}
                    {address(asked, "from_address", "From Address", &draft.from_address, "The sender of tasks that name none. The server returns errors to it.")}
                    {text(asked, "from_name", "From Name", false, &draft.from_name, "")}
                    <div class="l-fields">
                        {number(asked, "timeout", "Timeout", &draft.timeout, "seconds", "")}
                        {number(asked, "retries", "Retries", &draft.retries, "", "")}
                    </div>
                </div>
                {foot(asked, if loaded.is_stored { "/smtp" } else { "/" })}
            </section>
        </form>
    }
    .into_any()
}

/// Renders, in a refused form that has lost a typed password, the choice to keep the stored one.
fn retype(asked: &Asked, has_password: bool) -> AnyView {
    let lost = asked.typed_or("retype", "");
    let keep = (has_password && !lost.is_empty())
        .then(|| switch(asked, "keep_secrets".to_owned(), "Keep the stored password".to_owned(), false));
    view! { <input type="hidden" name="retype" value=lost/> {keep} }.into_any()
}
