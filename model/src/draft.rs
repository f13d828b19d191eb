//! Deserialises drafts: structs of texts, with one field for each field of a form.
//!
//! A draft is read through a map of texts. Derived code for each draft took 60 kB of the browser half. Missing fields
//! keep their default, and unknown fields are ignored.

/// Implements `From<Texts>` for a draft (`Default`, all fields `String`), which has `#[serde(from = "Texts")]`.
macro_rules! read_from_texts {
    ($draft:ident: $($field:ident)*) => {
        impl From<crate::draft::Texts> for $draft {
            fn from(mut texts: crate::draft::Texts) -> Self {
                let mut draft = Self::default();
                for (name, field) in [$((stringify!($field), &mut draft.$field)),*] {
                    if let Some(text) = texts.remove(name) {
                        *field = text;
                    }
                }
                draft
            }
        }
    };
}
pub(crate) use read_from_texts;

/// The fields of a draft, by name.
pub(crate) type Texts = std::collections::BTreeMap<String, String>;
