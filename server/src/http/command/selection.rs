//! Commands on the checked rows of a list.
//!
//! Each row has a transaction of its own, so that a refusal of one row does not stop the others, and a long selection
//! does not delay other writers. The page then names the rows that were refused, with the reasons.

use super::posted::Command;
use app::error::{AppError, Code, Link};
use app::view::done::Done;
use axum::response::Response;
use std::collections::BTreeMap;
use std::str::FromStr;

/// Runs a command on each checked row. `noun` names a row in messages: "Webhook".
pub(super) async fn run<P, Id: FromStr>(
    command: Command<P>,
    noun: &'static str,
    done: Done,
    act: impl AsyncFn(&Command<P>, Id) -> Result<(), AppError>,
) -> Response {
    let act = async |this: &Command<P>| {
        let mut results = Results::default();
        let mut rows = checked_rows(&this.typed)?.into_iter();
        while !results.is_away()
            && let Some((text, id)) = rows.next()
        {
            let row = Link { label: format!("{noun} {text}"), href: format!("{}/{text}", this.page) };
            results.note(row, act(this, id).await);
        }
        results.untried = rows.len();
        results.into_result()
    };
    command.run_here(done, act).await
}

/// Returns the ids of the checked rows, each as posted and parsed.
fn checked_rows<Id: FromStr>(typed: &BTreeMap<String, String>) -> Result<Vec<(String, Id)>, AppError> {
    let ids = typed.keys().filter_map(|key| key.strip_prefix("row."));
    let rows: Vec<_> = ids.filter_map(|text| Some((text.to_owned(), text.parse().ok()?))).collect();
    if rows.is_empty() {
        return Err(AppError::new(Code::Malformed, "Check the rows first that this is about."));
    }
    Ok(rows)
}

/// The results of a command on the rows that were tried.
#[derive(Default)]
struct Results {
    /// The number of rows that succeeded.
    done: usize,
    refused: Vec<Refused>,
    /// The number of rows that were not tried, because the database went away.
    untried: usize,
}

/// A row that was refused.
struct Refused {
    row: Link,
    error: AppError,
}

impl Results {
    fn note(&mut self, row: Link, result: Result<(), AppError>) {
        match result {
            Ok(()) => self.done += 1,
            Err(error) => self.refused.push(Refused { row, error }),
        }
    }

    /// Returns true once the database is unreachable, so that further tries would be in vain.
    fn is_away(&self) -> bool {
        self.refused.last().is_some_and(|refused| refused.error.code == Code::Unavailable)
    }

    /// Fails when a row was refused, with all reasons and links in one error.
    fn into_result(mut self) -> Result<(), AppError> {
        /// The most refusals that the message has; the links have all of them.
        const TOLD: usize = 5;
        if self.done == 0 && self.untried == 0 && self.refused.len() == 1 {
            return self.refused.pop().map_or(Ok(()), |refused| Err(refused.error));
        }
        let Some(first) = self.refused.first() else { return Ok(()) };
        let code = if self.done > 0 { Code::Partial } else { first.error.code };
        let mut message = match self.done {
            0 => "Nothing was done.".to_owned(),
            done => format!("Done for {done}, and not for {}.", self.refused.len()),
        };
        for Refused { row, error } in self.refused.iter().take(TOLD) {
            let why = error.message.trim_end_matches("Nothing was deleted.").trim_end();
            // A refusal with links names the row itself.
            message += &if error.links.is_empty() { format!(" {}: {why}", row.label) } else { format!(" {why}") };
        }
        if self.refused.len() > TOLD {
            message += &format!(" And {} more.", self.refused.len() - TOLD);
        }
        if self.untried > 0 {
            message += " The rest was not tried.";
        }
        let links = self.refused.into_iter().flat_map(
            |Refused { row, error }| {
                if error.links.is_empty() { vec![row] } else { error.links }
            },
        );
        Err(AppError { links: links.collect(), ..AppError::new(code, message) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the results of rows 1 to `codes.len()`, each refused with its code or done.
    fn results(codes: &[Option<Code>], untried: usize) -> Results {
        let mut results = Results { untried, ..Results::default() };
        for (index, code) in codes.iter().enumerate() {
            let row = Link { label: format!("Task {}", index + 1), href: format!("/tasks/{}", index + 1) };
            results.note(row, code.map_or(Ok(()), |code| Err(AppError::new(code, "No."))));
        }
        results
    }

    #[test]
    fn rest_is_untried_only_when_rows_are_left() {
        let away = Some(Code::Unavailable);
        let message = |results: Results| results.into_result().unwrap_err().message;
        assert_eq!(message(results(&[None, away], 0)), "Done for 1, and not for 1. Task 2: No.");
        assert_eq!(
            message(results(&[None, away], 3)),
            "Done for 1, and not for 1. Task 2: No. The rest was not tried."
        );
        assert_eq!(message(results(&[away], 3)), "Nothing was done. Task 1: No. The rest was not tried.");
    }

    #[test]
    fn tries_end_early_only_when_the_database_is_unavailable() {
        assert!(results(&[None, Some(Code::Unavailable)], 0).is_away());
        assert!(!results(&[Some(Code::Conflict), None], 0).is_away());
    }

    #[test]
    fn single_refusal_is_shown_unchanged() {
        assert_eq!(results(&[Some(Code::NotFound)], 0).into_result(), Err(AppError::new(Code::NotFound, "No.")));
        assert_eq!(results(&[Some(Code::Unavailable)], 0).into_result(), Err(AppError::new(Code::Unavailable, "No.")));
        assert_eq!(results(&[None, None], 0).into_result(), Ok(()));
    }

    #[test]
    fn refusals_of_some_rows_are_told_with_links_to_all() {
        let codes = [None, Some(Code::Conflict), Some(Code::NotFound)];
        let error = results(&codes, 0).into_result().unwrap_err();
        assert_eq!(error.code, Code::Partial);
        assert_eq!(error.links.iter().map(|link| link.href.as_str()).collect::<Vec<_>>(), ["/tasks/2", "/tasks/3"]);
        let error = results(&[Some(Code::Conflict); 7], 0).into_result().unwrap_err();
        assert_eq!(error.code, Code::Conflict);
        assert!(error.message.ends_with("Task 5: No. And 2 more."), "{}", error.message);
    }
}
