//! Secret headers: the mask that stands for their values, and the names that look secret.
//!
//! The value of a masked row is found by the name and the order of repeats: the second masked `X-Key` has the second
//! value of that name. So rows can be moved, and all rows can have the same mask.

use super::{HeaderList, HeaderRow};

/// Stands for a secret value.
pub const MASK: &str = "••••••••";
/// The character of the mask.
pub(crate) const MASK_CHAR: char = '•';

/// Returns true if the value of a header of this name is most likely a secret.
///
/// Names with the words of a credential look secret. Keys that sort or count messages do not, and neither do headers
/// that describe the body (`Content-…`).
pub fn looks_secret(name: &str) -> bool {
    // These parts are looked for anywhere in a name, since words may be joined without a separator: `X-AuthToken`.
    const PARTS: &[&str] =
        &["token", "secret", "passw", "passphrase", "cookie", "authorization", "apikey", "accesskey", "credential"];
    const WORDS: &[&str] =
        &["key", "auth", "oauth", "authentication", "signature", "sig", "hmac", "jwt", "bearer", "pwd", "pass"];
    const HARMLESS_KEYS: &[&str] = &["idempotency", "partition", "routing", "ordering", "deduplication"];
    let name = name.trim().to_ascii_lowercase();
    if name.starts_with("content-") {
        return false;
    }
    let words = || name.split(|c: char| !c.is_ascii_alphanumeric()).map(|word| word.trim_end_matches(char::is_numeric));
    let has_word = |list: &[&str]| words().any(|word| list.contains(&word));
    PARTS.iter().any(|part| name.contains(part)) || has_word(WORDS) && !has_word(HARMLESS_KEYS)
}

/// Returns true if a value has a part of the mask and is not exactly the mask.
pub(super) fn is_broken_mask(value: &str) -> bool {
    value != MASK && value.contains("••")
}

/// A mask among the secret values, which keeps a stored value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Keeps the value of the same name and repeat.
    InPlace,
    /// Keeps the value of this repeat of the name, from 0. The grid writes the number where repeats of a name were
    /// moved or the first was deleted, since their masks look alike.
    Repeat(usize),
}

impl Kept {
    /// Reads `••••••••` or, for the second repeat, `•••••••• 2`.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        match value.strip_prefix(MASK)? {
            "" => Some(Self::InPlace),
            number => Some(Self::Repeat(number.strip_prefix(' ')?.parse::<usize>().ok()?.checked_sub(1)?)),
        }
    }

    /// Returns the text that [`Self::parse`] reads.
    pub(crate) fn to_text(self) -> String {
        match self {
            Self::InPlace => MASK.to_owned(),
            Self::Repeat(repeat) => format!("{MASK} {}", repeat + 1),
        }
    }
}

/// Finds for each of `names` the index of the same name in `others`, repeat by repeat. Also returns the indexes that
/// are left over.
pub(crate) fn pair(names: &[&str], others: &[&str]) -> (Vec<Option<usize>>, Vec<usize>) {
    let mut left: Vec<usize> = (0..others.len()).collect();
    let mut found = Vec::new();
    for name in names {
        let at = left.iter().position(|index| others[*index].eq_ignore_ascii_case(name));
        found.push(at.map(|at| left.remove(at)));
    }
    (found, left)
}

/// Finds the index of a repeat of a name, from 0.
pub(crate) fn find_repeat<S: AsRef<str>>(names: &[S], name: &str, repeat: usize) -> Option<usize> {
    let is_repeat = |index: &usize| names[*index].as_ref().eq_ignore_ascii_case(name);
    (0..names.len()).filter(is_repeat).nth(repeat)
}

/// Counts the repeats of the name at `index` before it.
pub(crate) fn repeat_at(names: &[&str], index: usize) -> usize {
    names[..index].iter().filter(|earlier| earlier.eq_ignore_ascii_case(names[index])).count()
}

/// A secret header without a stored value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no value is stored for the secret header {0}")]
pub struct MissingSecret(pub String);

impl HeaderRow {
    /// Returns true if the value is secret and stored elsewhere.
    pub fn is_secret(&self) -> bool {
        self.value == MASK
    }
}

impl HeaderList {
    /// Returns the names of the secret headers, in order.
    pub fn secret_names(&self) -> Vec<&str> {
        self.0.iter().filter(|row| row.is_secret()).map(|row| row.name.as_str()).collect()
    }

    /// Returns the headers with the values of `secrets` in place of the masks, by name and order of repeats. So the
    /// headers of an earlier revision take the current values.
    ///
    /// # Errors
    /// The first header without a value.
    pub fn with_secrets(&self, secrets: &Self) -> Result<Self, MissingSecret> {
        let names: Vec<&str> = secrets.0.iter().map(|row| row.name.as_str()).collect();
        let mut found = pair(&self.secret_names(), &names).0.into_iter();
        let fill = |row: &HeaderRow| {
            if !row.is_secret() {
                return Ok(row.clone());
            }
            let index = found.next().flatten().ok_or_else(|| MissingSecret(row.name.clone()))?;
            Ok(HeaderRow { name: row.name.clone(), value: secrets.0[index].value.clone() })
        };
        self.0.iter().map(fill).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> HeaderList {
        let row = |line: &str| {
            let (name, value) = line.split_once(": ").expect("a colon");
            HeaderRow { name: name.to_owned(), value: value.to_owned() }
        };
        HeaderList(text.lines().map(row).collect())
    }

    #[test]
    fn names_of_credentials_look_secret() {
        let names = "Authorization, Proxy-Authorization, X-Authorization, Cookie, Set-Cookie, X-API-Key, X_API_KEY, \
                     apikey, Api-Key, Ocp-Apim-Subscription-Key, X-Key2, X-AccessKey-Id, X-Auth, X-Auth-User, \
                     X-AuthToken, X-Gitlab-Token, X-CSRF-Token, X-Client-Secret, X-Password, X-Passwd, X-Pwd, \
                     X-Hub-Signature-256, X-Sig, X-JWT, X-Credentials, X-OAuth2, X-Amz-Security-Token, x-key ";
        for name in names.split(", ") {
            assert!(looks_secret(name), "{name}");
        }
    }

    #[test]
    fn other_names_do_not_look_secret() {
        let names = ", Idempotency-Key, X-Idempotency-Key, X-Partition-Key, X-Routing-Key, X-Correlation-Id, \
                     X-Request-Id, Content-Type, Content-Language, Content-Signature, Accept, User-Agent, X-Author, \
                     X-Keyboard, X-Monkey, X-Environment, Origin, Cache-Control, X-Design, X-Compass";
        for name in names.split(", ") {
            assert!(!looks_secret(name), "{name}");
        }
    }

    #[test]
    fn mask_that_keeps_a_value_is_written_and_read_back() {
        for kept in [Kept::InPlace, Kept::Repeat(0), Kept::Repeat(11)] {
            assert_eq!(Kept::parse(&kept.to_text()), Some(kept));
        }
        for other in ["", "x", " 2", "•"] {
            assert_eq!(Kept::parse(other), None, "{other}");
        }
        for end in ["2", " 0", " -1", " x", "•", " ", "  2"] {
            assert_eq!(Kept::parse(&format!("{MASK}{end}")), None, "{end}");
        }
    }

    #[test]
    fn each_mask_takes_the_value_of_its_name_and_repeat() {
        let check = |headers: &str, secrets: &str, filled: Result<&str, &str>| {
            let filled = filled.map(list).map_err(|name| MissingSecret(name.to_owned()));
            assert_eq!(list(&headers.replace('*', MASK)).with_secrets(&list(secrets)), filled, "{headers} {secrets}");
        };
        check("", "", Ok(""));
        check("A: 1", "B: 2", Ok("A: 1"));
        check("A: *\nB: 1", "A: 2", Ok("A: 2\nB: 1"));
        check("B: *\nA: *", "A: 1\nB: 2", Ok("B: 2\nA: 1"));
        check("A: *\nB: *\na: *", "A: 1\nA: 2\nB: 3", Ok("A: 1\nB: 3\na: 2"));
        check("A: 0\nA: *", "A: 1", Ok("A: 0\nA: 1"));
        check("A: *", "", Err("A"));
        check("A: *\nB: *\nA: *", "A: 1\nB: 2", Err("A"));
        assert_eq!(MissingSecret("X-Key".into()).to_string(), "no value is stored for the secret header X-Key");
    }
}
