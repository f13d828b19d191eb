//! Commands on checked rows: done for one row after the other, each in a step of its own, so that a refusal of one stops no
//! other and a long selection keeps nobody waiting. The page then says for which rows nothing was done, and why.

use app::error::{AppError, Code, Link};

/// The result of a command on the checked rows.
#[derive(Default)]
pub(super) struct Selection {
    done: usize,
    refused: Vec<(Link, AppError)>,
    /// The database went away: the rest was not tried.
    is_cut: bool,
}

impl Selection {
    /// Notes the result for one row. Returns whether the next is worth a try.
    pub(super) fn note(&mut self, label: String, href: String, done: Result<(), AppError>) -> bool {
        match done {
            Ok(()) => self.done += 1,
            Err(error) => {
                self.is_cut = error.code == Code::Unavailable;
                self.refused.push((Link { label, href }, error));
            }
        }
        !self.is_cut
    }

    /// Where the result is; or for which rows nothing was done, and why.
    pub(super) fn finish(mut self, path: &str) -> Result<String, AppError> {
        /// So many refusals are told in words.
        const TOLD: usize = 5;
        match (self.done, self.refused.len()) {
            (_, 0) => return Ok(path.to_owned()),
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
