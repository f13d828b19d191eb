//! The dialogue of an SMTP session as an attempt records it. A secret never enters it.

use std::collections::VecDeque;

/// The most bytes of the first lines that are recorded.
const HEAD_MAX_BYTES: usize = 48 * 1024;
/// The most bytes of the last lines that are recorded, once the first ones are full.
const TAIL_MAX_BYTES: usize = 15 * 1024;
/// The most bytes of a line that are recorded.
const LINE_MAX_BYTES: usize = 1000;
/// The text in the place of a secret.
const MASK: &str = "••••";

/// The lines of both sides: the first ones, and the last ones.
#[derive(Default)]
pub(super) struct Dialogue {
    head: String,
    tail: VecDeque<String>,
    tail_bytes: usize,
    /// Lines that were left out between the two.
    left_out: usize,
    /// The secrets of this session, in every form in which they are sent.
    secrets: Vec<String>,
}

impl Dialogue {
    /// Returns an empty dialogue, which masks these texts wherever the server repeats them.
    pub(super) fn new(secrets: Vec<String>) -> Self {
        Self { secrets, ..Self::default() }
    }

    /// Returns a text of the server without the secrets that it repeats.
    pub(super) fn masked(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK))
    }

    /// Records a line of the server, whose secrets are masked already.
    pub(super) fn server(&mut self, line: &str) {
        self.push("S: ", line);
    }

    /// Records a command. The argument of a secret command is masked.
    pub(super) fn client(&mut self, command: &str, is_secret: bool) {
        match command.strip_prefix("AUTH ").and_then(|rest| rest.split_once(' ')) {
            Some((mechanism, _)) => self.push("C: ", &format!("AUTH {mechanism} {MASK}")),
            None if is_secret && !command.starts_with("AUTH ") && command != "QUIT" => self.push("C: ", MASK),
            None => self.push("C: ", command),
        }
    }

    /// Records that a message of this size was sent.
    pub(super) fn message(&mut self, bytes: usize) {
        self.push("C: ", &format!("[message, {bytes} bytes]"));
    }

    fn push(&mut self, side: &str, line: &str) {
        let end = line.floor_char_boundary(LINE_MAX_BYTES);
        let line = format!("{side}{}\n", &line[..end]);
        if self.tail.is_empty() && self.head.len() + line.len() <= HEAD_MAX_BYTES {
            self.head += &line;
            return;
        }
        self.tail_bytes += line.len();
        self.tail.push_back(line);
        while self.tail_bytes > TAIL_MAX_BYTES {
            let Some(first) = self.tail.pop_front() else { return };
            self.tail_bytes -= first.len();
            self.left_out += 1;
        }
    }

    /// Returns the lines, each with its side, and a note if lines are missing.
    pub(super) fn read(&self) -> (Vec<u8>, Option<String>) {
        let gap = (self.left_out > 0).then(|| format!("[{} lines left out]", self.left_out));
        let mut text = self.head.clone();
        if let Some(gap) = &gap {
            text = text + gap + "\n";
        }
        text.extend(self.tail.iter().map(String::as_str));
        (text.into_bytes(), gap.map(|_| "the middle of the dialogue is left out: it is over 64 KiB".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(dialogue: &Dialogue) -> String {
        String::from_utf8(dialogue.read().0).unwrap()
    }

    #[test]
    fn secrets_are_masked_on_both_sides() {
        let mut dialogue = Dialogue::new(vec!["AGEAc2VjcmV0".into(), "canary".into()]);
        dialogue.client("AUTH PLAIN AGEAc2VjcmV0", true);
        let line = dialogue.masked("535 canary does not fit AGEAc2VjcmV0");
        dialogue.server(&line);
        dialogue.client("AUTH LOGIN", true);
        dialogue.client("Y2FuYXJ5", true);
        dialogue.client("QUIT", true);
        let expected = "C: AUTH PLAIN ••••\nS: 535 •••• does not fit ••••\nC: AUTH LOGIN\nC: ••••\nC: QUIT\n";
        assert_eq!(text(&dialogue), expected);
    }

    #[test]
    fn long_dialogue_retains_its_beginning_and_its_end() {
        let mut dialogue = Dialogue::default();
        for number in 0..10_000 {
            dialogue.client(&format!("RCPT TO:<user{number}@example.test>"), false);
        }
        let (bytes, note) = dialogue.read();
        let text = text(&dialogue);
        assert!(bytes.len() <= 64 * 1024 && note.is_some(), "{}", bytes.len());
        assert!(text.contains("user0@") && text.contains("user9999@") && text.contains(" lines left out]"));
        dialogue.server(&"ä".repeat(10_000));
        assert!(dialogue.read().0.len() <= 64 * 1024);
    }
}
