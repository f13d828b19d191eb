//! The times of the console's pages.

use super::Bench;
use crate::bench::speed::ours::Ours;
use crate::bench::speed::subject::Subject;
use crate::bench::speed::table::Figure;
use crate::bench::speed::work::Scale;
use anyhow::{Context, Result};
use std::time::Duration;

/// The fetches of a page, after some whose times do not count.
const FETCHES: usize = 40;
const FETCHES_BEFORE: usize = 3;
/// The time between two fetches. The server renders twenty pages a second and core, and the next one waits for its
/// turn: faster fetches would measure that wait.
const FETCH_PAUSE: Duration = Duration::from_millis(60);
/// The highest p95 of a page in milliseconds.
const PAGE_MAX_MS: f64 = 50.0;

/// The pages without an id.
const LISTS: [&str; 16] = [
    "/",
    "/webhooks",
    "/tasks",
    "/events",
    "/schedules",
    "/deliveries",
    "/deliveries?status=error",
    "/deliveries?object=no-such-object",
    "/deliveries?status=discarded",
    "/deliveries?time=7d&sort=time",
    "/deliveries?sort=-duration",
    "/runs",
    "/runs?status=failed",
    "/objects",
    "/tags",
    "/types",
];

impl Bench {
    pub(super) fn pages(&mut self, subject: &mut Subject) -> Result<Vec<Figure>> {
        let Some(ours) = subject.ours() else { return Ok(Vec::new()) };
        let is_short = self.scale == Scale::Short;
        let fetches = if is_short { FETCHES / 10 } else { FETCHES };
        let lists = LISTS.map(|path| (path.to_owned(), path.to_owned()));
        // A short bench may have nothing to show.
        let details = details(ours).or_else(|error| if is_short { Ok(Vec::new()) } else { Err(error) })?;
        let mut figures = Vec::new();
        for (path, label) in lists.into_iter().chain(details) {
            let mut took = Vec::new();
            for fetch in 0..fetches + FETCHES_BEFORE {
                std::thread::sleep(FETCH_PAUSE);
                let (_, duration) = ours.page(&path)?;
                if fetch >= FETCHES_BEFORE {
                    took.push(duration.as_secs_f64() * 1000.0);
                }
            }
            took.sort_by(f64::total_cmp);
            let p95 = took.get(took.len() * 95 / 100).copied().unwrap_or_default();
            figures.push(Figure::new(format!("page {label}: p95, ms"), 1, p95).at_most([Some(PAGE_MAX_MS); 2]));
        }
        Ok(figures)
    }
}

/// Returns the paths of the pages with an id, and their labels. They belong to the oldest delivery. In a filled
/// database the filling has made it, so that its webhook and its task have a long history.
fn details(ours: &Ours) -> Result<Vec<(String, String)>> {
    let fetch = |path: &str| ours.page(path).map(|(page, _)| page);
    let delivery = link(&fetch("/deliveries?sort=time")?, "/deliveries/")?;
    let page = fetch(&delivery)?;
    let paths = [
        link(&page, "/webhooks/")?,
        link(&page, "/tasks/")?,
        link(&page, "/events/")?,
        link(&page, "/occurrences/")?,
        link(&fetch("/schedules")?, "/schedules/")?,
        link(&fetch("/objects")?, "/objects/")?,
        delivery,
    ];
    let label = |path: &str| path.rsplit_once('/').map_or_else(String::new, |(list, _)| format!("{list}/ID"));
    Ok(paths.map(|path| (path.clone(), label(&path))).into())
}

/// Returns the first link of a page that begins with this path and has an id after it.
fn link(page: &str, path: &str) -> Result<String> {
    let links = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let is_id = |id: &str| id.starts_with(|first: char| first.is_ascii_digit()) && !id.contains('/');
    let mut found = links.filter(|link| link.strip_prefix(path).is_some_and(is_id));
    found.next().map(str::to_owned).with_context(|| format!("a page has no link to {path}ID"))
}

#[cfg(test)]
mod tests {
    use super::link;

    #[test]
    fn link_is_the_first_with_an_id() {
        let page = r##"<a href="#main"></a><a href="/tasks"></a><a href="/tasks/new"></a><a href="/tasks/7/edit"></a>
            <a class="x" href="/tasks/12"></a><a href="/tasks/13"></a>"##;
        assert_eq!(link(page, "/tasks/").ok().as_deref(), Some("/tasks/12"));
        assert!(link(page, "/events/").is_err());
    }
}
