//! Pages without what nothing on them uses: the marks for hydration, which the renderer writes everywhere and only islands
//! need, and icons. A list is a third shorter.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use std::collections::BTreeSet;

/// Takes the marks out of a page. Other responses stay as they are.
pub(super) async fn page(response: Response) -> Response {
    let is_html = |value: &HeaderValue| value.as_bytes().starts_with(b"text/html");
    if !response.headers().get(header::CONTENT_TYPE).is_some_and(is_html) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // Rendered whole, in memory: it cannot fail, and has no end but its own.
    let Ok(html) = to_bytes(body, usize::MAX).await else { return Response::from_parts(parts, Body::empty()) };
    parts.headers.remove(header::CONTENT_LENGTH);
    let html = without_marks(&html);
    // An island may show any icon later on.
    let html = if find(&html, ISLAND).is_some() { html } else { with_used_icons(&html) };
    Response::from_parts(parts, Body::from(html))
}

const ISLAND: &[u8] = b"<leptos-island";

fn find(html: &[u8], text: &[u8]) -> Option<usize> {
    html.windows(text.len()).position(|window| window == text)
}

/// Takes the symbols out that no `<use>` names.
fn with_used_icons(html: &[u8]) -> Vec<u8> {
    const SYMBOL: &[u8] = b"<symbol id=\"";
    const USE: &[u8] = b"href=\"#";
    let name_at = |start: usize| html[start..].split(|byte| *byte == b'"').next().unwrap_or_default();
    let mut used = BTreeSet::new();
    let mut place = 0;
    while let Some(start) = find(&html[place..], USE).map(|found| place + found + USE.len()) {
        used.insert(name_at(start));
        place = start;
    }
    let mut out = Vec::with_capacity(html.len());
    let mut place = 0;
    while let Some(start) = find(&html[place..], SYMBOL).map(|found| place + found) {
        let end = after(html, start, b"</symbol>");
        out.extend_from_slice(&html[place..start]);
        if used.contains(name_at(start + SYMBOL.len())) {
            out.extend_from_slice(&html[start..end]);
        }
        place = end;
    }
    out.extend_from_slice(&html[place..]);
    out
}

/// The end of what begins at `start`: the position after the next `end`.
fn after(html: &[u8], start: usize, end: &[u8]) -> usize {
    let found = find(&html[start..], end);
    found.map_or(html.len(), |place| start + place + end.len())
}

/// The position after the tag at `start`. A `>` within quotes ends no tag.
fn after_tag(html: &[u8], start: usize) -> usize {
    let mut is_quoted = false;
    for (place, byte) in html.iter().enumerate().skip(start) {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'>' if !is_quoted => return place + 1,
            _ => {}
        }
    }
    html.len()
}

fn without_marks(html: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(html.len());
    let (mut place, mut is_island) = (0, false);
    while place < html.len() {
        let rest = &html[place..];
        if rest[0] != b'<' {
            let text = rest.iter().position(|byte| *byte == b'<').unwrap_or(rest.len());
            out.extend_from_slice(&rest[..text]);
            place += text;
            continue;
        }
        let end = if rest.starts_with(b"<!--") {
            after(html, place, b"-->")
        } else if rest.starts_with(b"<script") {
            after(html, place, b"</script>")
        } else {
            after_tag(html, place)
        };
        if rest.starts_with(ISLAND) {
            is_island = true;
        } else if rest.starts_with(b"</leptos-island") {
            is_island = false;
        }
        let is_mark = rest.starts_with(b"<!>") || rest.starts_with(b"<!--");
        if is_island || !is_mark {
            out.extend_from_slice(&html[place..end]);
        }
        place = end;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_go_and_nothing_that_looks_like_one() {
        let html = r#"<!DOCTYPE html><title>a<!></title><p title="<!> a > b"><!--<() />-->1 &lt;!> 2<!></p><script>if (1<!>2) "</b>"</script><leptos-island data-props="</leptos-island><!>"><p>x<!></p></leptos-island><!>"#;
        let kept = r#"<!DOCTYPE html><title>a</title><p title="<!> a > b">1 &lt;!> 2</p><script>if (1<!>2) "</b>"</script><leptos-island data-props="</leptos-island><!>"><p>x<!></p></leptos-island>"#;
        assert_eq!(String::from_utf8_lossy(&without_marks(html.as_bytes())), kept);
        assert_eq!(without_marks(b"<p"), b"<p", "and what is cut ends");
    }

    #[test]
    fn icons_that_nothing_uses_go() {
        let html = r##"<svg><symbol id="i-a">A</symbol> <symbol id="i-ab">B</symbol></svg><use href="#i-a"></use>"##;
        let kept = r##"<svg><symbol id="i-a">A</symbol> </svg><use href="#i-a"></use>"##;
        assert_eq!(String::from_utf8_lossy(&with_used_icons(html.as_bytes())), kept);
    }
}
