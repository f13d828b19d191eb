//! The state of a page as its URL carries it: sort, filters, page.

use std::collections::BTreeMap;

/// The pairs of a query string. Empty values are as good as absent.
#[derive(Debug, Clone, Default)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads `a=1&b=2`; of several with one name the last counts.
    pub fn parse(text: &str) -> Self {
        let text = text.trim_start_matches('?');
        let pairs = form_urlencoded::parse(text.as_bytes()).into_owned();
        // Nothing that is stored has a NUL character, and PostgreSQL cannot be asked for one.
        Self(pairs.filter(|(_, value)| !value.trim().is_empty() && !value.contains('\0')).collect())
    }

    /// The value under this name; empty if there is none.
    pub fn value(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The page, from 1.
    pub fn page(&self) -> u64 {
        self.value("page").parse().unwrap_or(1).clamp(1, 1_000_000)
    }

    /// The key to sort by, and whether descending; `default` where the URL names none.
    pub fn sort<'a>(&'a self, default: &'a str) -> (&'a str, bool) {
        let text = if self.value("sort").is_empty() { default } else { self.value("sort") };
        text.strip_prefix('-').map_or((text, false), |key| (key, true))
    }

    /// The same with one value changed, as `?…`; an empty value takes it out. Another filter or order begins at page 1.
    pub fn with(&self, name: &str, value: &str) -> String {
        let mut pairs = self.0.clone();
        if name != "page" {
            pairs.remove("page");
        }
        if value.is_empty() {
            pairs.remove(name);
        } else {
            pairs.insert(name.to_owned(), value.to_owned());
        }
        let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        format!("?{text}")
    }
}

/// A text as a value in a URL's query.
pub(crate) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_filter_begins_at_the_first_page_and_keeps_the_rest() {
        let query = Query::parse("?sort=-name&page=3&name=a%26b&empty=");
        assert_eq!(query.sort("time"), ("name", true));
        assert_eq!((query.page(), query.value("name"), query.value("empty")), (3, "a&b", ""));
        assert_eq!(query.with("name", ""), "?sort=-name");
        assert_eq!(query.with("page", "4"), "?name=a%26b&page=4&sort=-name");
    }
}
