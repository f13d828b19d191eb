//! Removes unused parts from pages: marks for hydration, which the renderer writes everywhere although only islands
//! need them, and unused icons. A list shrinks by a third.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use std::collections::BTreeSet;

/// Removes marks and unused icons from a page. Other responses are not changed.
pub(super) async fn page(response: Response) -> Response {
    let is_html = |value: &HeaderValue| value.as_bytes().starts_with(b"text/html");
    if !response.headers().get(header::CONTENT_TYPE).is_some_and(is_html) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The page is already whole in memory, so reading it cannot fail and needs no limit.
    let Ok(html) = to_bytes(body, usize::MAX).await else { return Response::from_parts(parts, Body::empty()) };
    parts.headers.remove(header::CONTENT_LENGTH);
    let html = without_marks(&html);
    // An island may show any icon later.
    let html = if find(&html, ISLAND).is_some() { html } else { with_used_icons(&html) };
    Response::from_parts(parts, Body::from(html))
}

const ISLAND: &[u8] = b"<leptos-island";

fn find(html: &[u8], text: &[u8]) -> Option<usize> {
    html.windows(text.len()).position(|window| window == text)
}

/// Removes the symbols that no `<use>` names.
fn with_used_icons(html: &[u8]) -> Vec<u8> {
    const SYMBOL: &[u8] = b"<symbol id=\"";
    const USE: &[u8] = b"href=\"#";
    let name_at = |start: usize| html[start..].split(|byte| *byte == b'"').next().unwrap_or_default();
    let mut used = BTreeSet::new();
    let mut position = 0;
    while let Some(start) = find(&html[position..], USE).map(|found| position + found + USE.len()) {
        used.insert(name_at(start));
        position = start;
    }
    let mut out = Vec::with_capacity(html.len());
    let mut position = 0;
    while let Some(start) = find(&html[position..], SYMBOL).map(|found| position + found) {
        let end = after(html, start, b"</symbol>");
        out.extend_from_slice(&html[position..start]);
        if used.contains(name_at(start + SYMBOL.len())) {
            out.extend_from_slice(&html[start..end]);
        }
        position = end;
    }
    out.extend_from_slice(&html[position..]);
    out
}

/// Returns the position after the next `end` from `start` on, or the end of the page.
fn after(html: &[u8], start: usize, end: &[u8]) -> usize {
    let distance = find(&html[start..], end);
    distance.map_or(html.len(), |distance| start + distance + end.len())
}

/// Returns the position after the tag at `start`. A `>` within quotes does not end a tag.
fn after_tag(html: &[u8], start: usize) -> usize {
    let mut is_quoted = false;
    for (position, byte) in html.iter().enumerate().skip(start) {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'>' if !is_quoted => return position + 1,
            _ => {}
        }
    }
    html.len()
}

fn without_marks(html: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(html.len());
    let (mut position, mut is_island) = (0, false);
    while position < html.len() {
        let rest = &html[position..];
        if rest[0] != b'<' {
            let text = rest.iter().position(|byte| *byte == b'<').unwrap_or(rest.len());
            out.extend_from_slice(&rest[..text]);
            position += text;
            continue;
        }
        let end = if rest.starts_with(b"<!--") {
            after(html, position, b"-->")
        } else if rest.starts_with(b"<script") {
            after(html, position, b"</script>")
        } else {
            after_tag(html, position)
        };
        if rest.starts_with(ISLAND) {
            is_island = true;
        } else if rest.starts_with(b"</leptos-island") {
            is_island = false;
        }
        let is_mark = rest.starts_with(b"<!>") || rest.starts_with(b"<!--");
        if is_island || !is_mark {
            out.extend_from_slice(&html[position..end]);
        }
        position = end;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_marks_removes_marks_only_outside_quotes_scripts_and_islands() {
        let html = r#"<!DOCTYPE html><title>a<!></title><p title="<!> a > b"><!--<() />-->1 &lt;!> 2<!></p><script>if (1<!>2) "</b>"</script><leptos-island data-props="</leptos-island><!>"><p>x<!></p></leptos-island><!>"#;
        let expected = r#"<!DOCTYPE html><title>a</title><p title="<!> a > b">1 &lt;!> 2</p><script>if (1<!>2) "</b>"</script><leptos-island data-props="</leptos-island><!>"><p>x<!></p></leptos-island>"#;
        assert_eq!(String::from_utf8_lossy(&without_marks(html.as_bytes())), expected);
        assert_eq!(without_marks(b"<p"), b"<p", "and what is cut ends");
    }

    #[test]
    fn with_used_icons_removes_unused_icons() {
        let html = r##"<svg><symbol id="i-a">A</symbol> <symbol id="i-ab">B</symbol></svg><use href="#i-a"></use>"##;
        let expected = r##"<svg><symbol id="i-a">A</symbol> </svg><use href="#i-a"></use>"##;
        assert_eq!(String::from_utf8_lossy(&with_used_icons(html.as_bytes())), expected);
    }
}
