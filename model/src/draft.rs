//! Drafts: structs of texts, one text for each field of a form.
//!
//! A draft is read and written through one map of texts. Code for each draft would add 60 kB to the browser half. The
//! forms of the browser half have such a map, and make a draft from it to check or send it. A field that the map lacks
//! gets the text of a new draft. Other texts of the map are ignored. CR LF becomes LF, so that a draft is the same with
//! and without WASM.

use std::collections::BTreeMap;

/// The fields of a draft, by name.
pub type Texts = BTreeMap<String, String>;

/// Defines a draft by one list of its fields: the struct, its `Default`, its conversion from and into a map of texts,
/// and the names. The text of a new draft may follow a field (`kind = "custom",`).
macro_rules! draft {
    ($(#[$meta:meta])* pub struct $draft:ident { $($(#[$doc:meta])* $field:ident $(= $text:expr)?,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(from = "crate::draft::Texts", into = "crate::draft::Texts")]
        #[expect(missing_docs, reason = "each field is the form field of that name; the rules stand in `parse`")]
        pub struct $draft {
            $($(#[$doc])* pub $field: String,)*
        }

        impl $draft {
            /// The names of the fields, which are those of the form and of the plain post.
            pub const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];
        }

        impl Default for $draft {
            fn default() -> Self {
                Self { $($field: String::new() $(+ $text)?),* }
            }
        }

        impl From<crate::draft::Texts> for $draft {
            fn from(texts: crate::draft::Texts) -> Self {
                let mut draft = Self::default();
                crate::draft::fill(texts, &mut [$((stringify!($field), &mut draft.$field)),*]);
                draft
            }
        }

        impl From<$draft> for crate::draft::Texts {
            fn from(draft: $draft) -> Self {
                crate::draft::named([$((stringify!($field), draft.$field)),*].into())
            }
        }
    };
}
pub(crate) use draft;

/// Puts the texts into the fields of the same names. CR LF, as a browser posts a line end, becomes LF.
pub(crate) fn fill(mut texts: Texts, fields: &mut [(&str, &mut String)]) {
    for (name, field) in fields {
        if let Some(text) = texts.remove(*name) {
            **field = text.replace("\r\n", "\n");
        }
    }
}

/// Returns the map of the fields of a draft.
pub(crate) fn named(fields: Vec<(&str, String)>) -> Texts {
    fields.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
}

/// Returns the text of a switch.
pub(crate) fn switch(is_on: bool) -> String {
    if is_on { "true".to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::TaskDraft;

    #[test]
    fn draft_takes_each_text_by_its_name_and_else_that_of_a_new_draft() {
        let read = |texts: &[(&str, &str)]| {
            let texts = texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
            TaskDraft::from(texts.collect::<Texts>())
        };
        assert_eq!(read(&[("other", "x")]), TaskDraft::default());
        assert_eq!(read(&[("name", "x")]), TaskDraft { name: "x".into(), ..TaskDraft::default() });
        assert_eq!(read(&[("action", "")]).action, "", "an empty text is a text");
        assert_eq!(read(&[("message", "a\r\nb")]), read(&[("message", "a\nb")]), "posted and typed");
        let all = TaskDraft::FIELDS.iter().map(|name| ((*name).to_owned(), format!("the {name}")));
        let written = serde_json::to_value(TaskDraft::from(all.collect::<Texts>())).expect("texts");
        assert!(TaskDraft::FIELDS.iter().all(|name| written[name] == format!("the {name}")), "{written}");
    }
}
