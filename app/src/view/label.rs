//! The labels of the fields of forms, for texts that name a field outside of its form.

use model::text::capitalised;

/// Returns the label of a field in its form: mostly the words of its name.
pub fn label(field: &str) -> String {
    let label = match field {
        // No form shows the revision, which is found by this name.
        "revision" => "revision",
        "url" => "URL",
        "auth_type" => "Authorization Type",
        "api_key_header" => "Header name",
        "api_key_prefix" => "Prefix",
        "sign" => "Sign Messages",
        "allow_insecure" => "Allow Insecure Certificates",
        "direct" => "Direct Connection",
        "delete_after_running" => "Delete Task After Running",
        "kind" | "type_id" => "Type",
        "external_id" => "Id",
        "object_named" => "Object",
        "to" => "To List",
        "cc" => "CC List",
        "bcc" => "BCC List",
        "every" => "Repeat Every",
        "month_day" => "Day of the Month",
        "start_time" => "At",
        "window_from" => "From",
        "window_to" => "To",
        name => return name.split('_').map(capitalised).collect::<Vec<_>>().join(" "),
    };
    label.to_owned()
}
