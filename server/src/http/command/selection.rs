//! Commands on checked rows: done for one row after the other, each in a step of its own, so that a refusal of one stops no
//! other and a long selection keeps nobody waiting. The page then says for which rows nothing was done, and why.

use app::error::{AppError, Code, Link};

/// The checked rows, and what came of a command on those that were tried.
pub(super) struct Selection<Id> {
    /// "Webhook".
    name: &'static str,
    /// The path of their list; that of a row is below it.
    list: &'static str,
    waiting: std::vec::IntoIter<(String, Id)>,
    /// The id of the row that is tried.
    current: String,
    done: usize,
    refused: Vec<(Link, AppError)>,
    /// The database went away: the rest was not tried.
    is_cut: bool,
}

impl<Id> Selection<Id> {
    pub(super) fn new(name: &'static str, list: &'static str, ids: Vec<(String, Id)>) -> Self {
        let (waiting, current) = (ids.into_iter(), String::new());
        Self { name, list, waiting, current, done: 0, refused: Vec::new(), is_cut: false }
    }

    /// The next row to try, if there is one and it is worth a try.
    pub(super) fn next(&mut self) -> Option<Id> {
        let (text, id) = self.waiting.next().filter(|_| !self.is_cut)?;
        self.current = text;
        Some(id)
    }

    /// Notes the result for that row.
    pub(super) fn note(&mut self, done: Result<(), AppError>) {
        match done {
            Ok(()) => self.done += 1,
            Err(error) => {
                self.is_cut = error.code == Code::Unavailable;
                let (label, href) =
                    (format!("{} {}", self.name, self.current), format!("{}/{}", self.list, self.current));
                self.refused.push((Link { label, href }, error));
            }
        }
    }

    /// Where the result is, with the word for it; or for which rows nothing was done, and why.
    pub(super) fn finish(mut self, word: &str) -> Result<String, AppError> {
        /// So many refusals are told in words.
        const TOLD: usize = 5;
        match (self.done, self.refused.len()) {
            (_, 0) => return Ok(format!("{}?done={word}", self.list)),
            (0, 1) if !self.is_cut => return Err(self.refused.remove(0).1),
            _ => {}
        }
        let code = if self.done > 0 { Code::Partial } else { self.refused[0].1.code };
        let mut message = match self.done {
            0 => "Nothing was done.".to_owned(),
            done => format!("Done for {done}, and not for {}.", self.refused.len()),
        };
        for (row, error) in self.refused.iter().take(TOLD) {
            let why = error.message.trim_end_matches("Nothing was deleted.").trim_end();
            // What is in use is named by the refusal itself.
            message += &if error.links.is_empty() { format!(" {}: {why}", row.label) } else { format!(" {why}") };
        }
        if self.refused.len() > TOLD {
            message += &format!(" And {} more.", self.refused.len() - TOLD);
        }
        if self.is_cut {
            message += " The rest was not tried.";
        }
        let links = self.refused.into_iter().flat_map(
            |(row, error)| {
                if error.links.is_empty() { vec![row] } else { error.links }
            },
        );
        Err(AppError { links: links.collect(), ..AppError::new(code, message) })
    }
}
