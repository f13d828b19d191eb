//! The state of a page in its URL: sort order, filters and page.

use crate::view::{COUNTED, PAGE_ROWS};
use std::collections::BTreeMap;

/// The pairs of a query string, without those whose value is empty.
#[derive(Debug, Clone, Default)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads `a=1&b=2`. The last pair counts when a name occurs twice.
    pub fn parse(text: &str) -> Self {
        let text = text.trim_start_matches('?');
        let pairs = form_urlencoded::parse(text.as_bytes()).into_owned();
        // No stored text contains NUL, and PostgreSQL refuses NUL in a query.
        Self(pairs.filter(|(_, value)| !value.trim().is_empty() && !value.contains('\0')).collect())
    }

    /// Returns the value of this name, or an empty string.
    pub fn value(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Returns the page number, from 1. No page is behind the last row that a list shows.
    pub fn page(&self) -> u64 {
        self.value("page").parse().unwrap_or(1).clamp(1, COUNTED / PAGE_ROWS)
    }

    /// Returns the id at which an earlier search ended, if this search continues it.
    pub fn beyond(&self) -> Option<i64> {
        self.value("beyond").parse().ok()
    }

    /// Returns the key to sort by, and true for descending order. `default` applies when the URL names no key.
    pub fn sort<'a>(&'a self, default: &'a str) -> (&'a str, bool) {
        let text = if self.value("sort").is_empty() { default } else { self.value("sort") };
        text.strip_prefix('-').map_or((text, false), |key| (key, true))
    }

    /// Returns the query with one value changed, as `?…`. An empty value removes the name. A change of a filter or of
    /// the order begins again at page 1, and searches from the start. The result of a command, which was said once, is
    /// left out.
    pub fn with(&self, name: &str, value: &str) -> String {
        let mut pairs = self.0.clone();
        pairs.remove("done");
        if name != "page" {
            pairs.remove("page");
            pairs.remove("beyond");
        }
        if value.is_empty() {
            pairs.remove(name);
        } else {
            pairs.insert(name.to_owned(), value.to_owned());
        }
        format!("?{}", serialized(&pairs))
    }

    /// Returns the pairs as `a=1&b=2`, without the result of a command: a page after another command has its result.
    pub fn text(&self) -> String {
        let mut pairs = self.0.clone();
        pairs.remove("done");
        serialized(&pairs)
    }
}

fn serialized(pairs: &BTreeMap<String, String>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Returns a text encoded as a value of a URL's query.
pub(crate) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changing_a_filter_resets_the_page_and_keeps_the_other_values() {
        let query = Query::parse("?sort=-name&page=3&name=a%26b&empty=");
        assert_eq!(query.sort("time"), ("name", true));
        assert_eq!((query.page(), query.value("name"), query.value("empty")), (3, "a&b", ""));
        assert_eq!(Query::parse("page=900").page(), 200, "the last page of a list that is not counted further");
        assert_eq!(query.with("name", ""), "?sort=-name");
        assert_eq!(query.with("page", "4"), "?name=a%26b&page=4&sort=-name");
        let further = Query::parse("?name=a&page=3&beyond=70");
        assert_eq!(further.beyond(), Some(70));
        assert_eq!(further.with("page", "4"), "?beyond=70&name=a&page=4");
        assert_eq!(further.with("beyond", "20"), "?beyond=20&name=a");
        assert_eq!(further.with("sort", "name"), "?name=a&sort=name");
    }

    #[test]
    fn link_in_a_page_does_not_repeat_the_result_of_a_command() {
        let query = Query::parse("done=deleted&name=a");
        assert_eq!(
            (query.with("sort", "name"), query.with("page", "2")),
            ("?name=a&sort=name".into(), "?name=a&page=2".into())
        );
    }

    #[test]
    fn text_of_a_query_is_pairs_alone_whatever_was_posted_as_one() {
        for (posted, text) in [
            ("?status=error&page=3&done=replayed", "page=3&status=error"),
            ("//evil.example/?a=b#c", "%2F%2Fevil.example%2F%3Fa=b%23c"),
            ("a=1\r\nSet-Cookie: b=2", "a=1%0D%0ASet-Cookie%3A+b%3D2"),
            ("", ""),
        ] {
            assert_eq!(Query::parse(posted).text(), text);
        }
    }
}
