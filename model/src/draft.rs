//! Reading drafts: structs of texts, whose fields are those of a form.
//!
//! They are read through one map of texts instead of code of their own for each: that code was 60 kB of the browser
//! half. What is missing keeps its default, what is more is ignored.

/// Has a draft (`Default`, all fields `String`) read from a map of texts. The struct says `#[serde(from = "Texts")]`.
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
