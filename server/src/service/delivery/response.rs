//! Responses for display: decoded, and read in their character set. They are stored as they were received.

use encoding_rs::{Encoding, UTF_8};
use model::content_type::charset;
use std::io::Read;

/// The most bytes of a response that are decoded and shown.
const SHOWN_MAX_BYTES: u64 = 256 * 1024;

/// The most encodings of one response that are decoded.
const ENCODINGS_MAX: usize = 4;

/// Returns the body as text, and a clause that says why it could not be decoded, if so. `headers` are the response's stored
/// header lines.
pub(in crate::service) fn readable(headers: &str, body: &[u8]) -> (String, Option<String>) {
    let (bytes, note) = match decoded(&value_of(headers, "content-encoding").unwrap_or_default(), body) {
        Ok(bytes) => (bytes, None),
        Err(note) => (body.to_vec(), Some(note)),
    };
    let content_type = value_of(headers, "content-type").unwrap_or_default();
    let named = charset(&content_type).and_then(|label| Encoding::for_label(label.as_bytes()));
    // A byte order mark takes precedence over the header (WHATWG Encoding §6.1).
    let (text, ..) = named.unwrap_or(UTF_8).decode(&bytes);
    (text.into_owned(), note)
}

/// Returns the values of a header, joined as RFC 9110 §5.2 says.
fn value_of(headers: &str, name: &str) -> Option<String> {
    let lines = headers.lines().filter_map(|line| line.split_once(':'));
    let values: Vec<_> =
        lines.filter(|(found, _)| found.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// Decodes the encodings, the last one first. Only the beginning of a long body is stored, so a truncated body is
/// decoded as far as possible.
fn decoded(encodings: &str, body: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = body.to_vec();
    if encodings.split(',').count() > ENCODINGS_MAX {
        return Err("encoded more often than is undone".to_owned());
    }
    for encoding in encodings.split(',').rev().map(|encoding| encoding.trim().to_ascii_lowercase()) {
        let mut out = Vec::new();
        let read = match encoding.as_str() {
            "" | "identity" => continue,
            "gzip" | "x-gzip" => read_some(flate2::read::MultiGzDecoder::new(&bytes[..]), &mut out),
            "deflate" => match read_some(flate2::read::ZlibDecoder::new(&bytes[..]), &mut out) {
                // Many servers send deflate without the frame that RFC 9110 §8.4.1.2 requires.
                Err(_) if out.is_empty() => read_some(flate2::read::DeflateDecoder::new(&bytes[..]), &mut out),
                read => read,
            },
            "br" => read_some(brotli::Decompressor::new(&bytes[..], 4096), &mut out),
            other => {
                let name: String = model::text::visible(other).chars().take(40).collect();
                return Err(format!("encoded as {name}, which cannot be shown"));
            }
        };
        if read.is_err() && out.is_empty() && !bytes.is_empty() {
            return Err(format!("not {encoding}, though its head says so"));
        }
        bytes = out;
    }
    Ok(bytes)
}

fn read_some(from: impl Read, out: &mut Vec<u8>) -> std::io::Result<usize> {
    from.take(SHOWN_MAX_BYTES).read_to_end(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use std::io::Write;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn compressed_response_is_decoded_as_far_as_it_goes() {
        let text = "{\"error\": \"no such room\"}".repeat(20);
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(text.as_bytes()).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::best());
        raw.write_all(text.as_bytes()).unwrap();
        let mut brotli = Vec::new();
        brotli::CompressorWriter::new(&mut brotli, 4096, 5, 22).write_all(text.as_bytes()).unwrap();
        for (encoding, body) in [
            ("gzip", gzip(text.as_bytes())),
            ("X-GZIP", gzip(text.as_bytes())),
            ("identity", text.clone().into_bytes()),
            ("gzip, gzip", gzip(&gzip(text.as_bytes()))),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", raw.finish().unwrap()),
            ("br", brotli),
        ] {
            let head = format!("Content-Type: application/json\ncontent-encoding: {encoding}");
            assert_eq!(readable(&head, &body), (text.clone(), None), "{encoding}");
        }
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(text.as_bytes()).unwrap();
        for (encoding, whole) in [("gzip", gzip(text.as_bytes())), ("deflate", zlib.finish().unwrap())] {
            let head = format!("Content-Encoding: {encoding}");
            let (part, note) = readable(&head, &whole[..whole.len() - 9]);
            assert!(text.starts_with(&part) && !part.is_empty() && note.is_none(), "{encoding}: {part} {note:?}");
            assert_eq!(readable(&head, b""), (String::new(), None));
        }
    }

    #[test]
    fn body_that_cannot_be_decoded_is_shown_as_received_with_a_note() {
        let (text, note) = readable("Content-Encoding: gzip", b"plain");
        assert_eq!((text.as_str(), note.as_deref()), ("plain", Some("not gzip, though its head says so")));
        let (_, note) = readable("Content-Encoding: zstd", b"x");
        assert_eq!(note.as_deref(), Some("encoded as zstd, which cannot be shown"));
    }

    #[test]
    fn decompression_bomb_is_cut_at_the_most_bytes_shown() {
        let bomb = gzip(&vec![b'a'; 64 * 1024 * 1024]);
        let (text, _) = readable("Content-Encoding: gzip", &bomb);
        assert_eq!(text.len() as u64, SHOWN_MAX_BYTES);
        let (text, _) = readable("Content-Encoding: gzip, gzip", &gzip(&bomb));
        assert!(text.len() as u64 <= SHOWN_MAX_BYTES);
    }

    #[test]
    fn text_is_read_in_its_character_set() {
        for (content_type, body, expected) in [
            ("text/plain; charset=iso-8859-1", &b"caf\xe9"[..], "caf\u{e9}"),
            ("text/html;CHARSET=\"Windows-1252\"", b"\x80 5", "\u{20ac} 5"),
            ("text/plain; charset=shift_jis", b"\x83e\x83X\x83g", "\u{30c6}\u{30b9}\u{30c8}"),
            ("text/plain; charset=utf-16", b"a\0b\0", "ab"),
            ("text/plain", b"\xff\xfea\0", "a"),
            ("text/plain; charset=nonsense", b"a\xff", "a\u{fffd}"),
            ("text/plain", b"\xef\xbb\xbfa", "a"),
        ] {
            let (text, note) = readable(&format!("content-type: {content_type}"), body);
            assert_eq!((text.as_str(), note), (expected, None), "{content_type}");
        }
    }
}
