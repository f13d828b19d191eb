//! Deliveries as lines of lists.

use super::shown_millis;
use crate::service::{Services, page_part};
use crate::store::delivery::{self, ListRow};
use crate::store::search::{self, Filter, Sort, Sorting};
use crate::store::{catalog, destination};
use app::error::AppError;
use app::view::Listed;
use app::view::delivery::{DeliveryLine, DeliveryQuery};
use app::view::destination::DestinationLink;
use model::catalog::Catalog;
use model::delivery::Status;
use model::id::DestinationId;
use model::text::shown;
use model::time::Timestamp;

const HOUR_MS: i64 = 3_600_000;
/// The number of deliveries in the list of the newest.
const LIST_ROWS: u64 = 100;
/// The number of newest deliveries on a dashboard.
pub(in crate::service) const NEWEST: u64 = 10;

impl Services {
    pub(in crate::service) fn delivery_line(&self, row: ListRow, catalog: &Catalog) -> DeliveryLine {
        DeliveryLine {
            uuid: row.uuid.to_string(),
            status: row.status,
            hold: row.hold,
            created: self.when(row.created_at),
            destination: DestinationLink { id: row.destination_id, kind: row.kind, name: row.destination_name },
            task: row.task_name,
            event: catalog.event_label(&row.type_id, &row.event_id).to_owned(),
            object: shown(&row.object_name.unwrap_or_default()),
            attempts: row.attempts,
            status_code: row.status_code,
            duration_ms: row.duration.map(shown_millis),
            // The first attempt is due at once: its time is not worth showing.
            next: row.next_attempt_at.filter(|_| row.attempts > 0).map(|at| self.when(at)),
            error: row.error,
        }
    }

    /// Returns the newest deliveries of all destinations.
    pub(super) async fn newest_deliveries(&self) -> Result<Vec<DeliveryLine>, AppError> {
        self.newest(None, LIST_ROWS).await
    }

    /// Returns the newest deliveries of a destination, for its dashboard.
    pub(in crate::service) async fn newest_of(&self, id: DestinationId) -> Result<Vec<DeliveryLine>, AppError> {
        self.newest(Some(id), NEWEST).await
    }

    async fn newest(&self, of: Option<DestinationId>, limit: u64) -> Result<Vec<DeliveryLine>, AppError> {
        let db = self.store.pages();
        let rows = delivery::list_newest(db, of, limit).await?;
        let catalog = catalog::load(db).await?;
        Ok(rows.into_iter().map(|row| self.delivery_line(row, &catalog)).collect())
    }

    pub(super) async fn search_deliveries(&self, query: DeliveryQuery) -> Result<Listed<DeliveryLine>, AppError> {
        let db = self.store.pages();
        let filter = filter_of(&query, self.clock.now());
        let (key, is_descending) = query.sort.strip_prefix('-').map_or((query.sort.as_str(), false), |key| (key, true));
        let sorting = match key {
            "attempts" => Sorting { by: Sort::Attempts, is_descending },
            "duration" => Sorting { by: Sort::Duration, is_descending },
            "time" => Sorting { by: Sort::Time, is_descending },
            _ => Sorting { by: Sort::Time, is_descending: true },
        };
        let part = page_part(query.page);
        let found = if filter.is_quick(db, sorting.by).await? {
            search::deliveries(db, &filter, sorting, part).await?
        } else {
            self.store.search(search::deliveries(self.store.searches(), &filter, sorting, part)).await?
        };
        let catalog = catalog::load(db).await?;
        let rows = found.rows.into_iter().map(|row| self.delivery_line(row, &catalog)).collect();
        let of_name = match filter.destination_id {
            Some(id) => destination::names(db, vec![id.0]).await?.remove(&id).map(|(name, _)| name),
            None => None,
        };
        Ok(Listed { rows, total: found.total, further: found.further, of_name })
    }
}

fn filter_of(query: &DeliveryQuery, now: Timestamp) -> Filter {
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    let hours = match query.since.as_str() {
        "1h" => Some(1),
        "24h" => Some(24),
        "7d" => Some(168),
        _ => None,
    };
    let status_code = query.result.trim().parse().ok();
    Filter {
        status: Status::find(&query.status),
        since: hours.map(|hours| Timestamp(now.0 - hours * HOUR_MS)),
        // A text that is no id finds nothing: no destination has the id 0.
        destination_id: given(&query.of_destination).map(|id| id.parse().unwrap_or(DestinationId(0))),
        destination: given(&query.destination),
        task: given(&query.task),
        event: given(&query.event),
        object: given(&query.object),
        error_code: if status_code.is_some() { None } else { given(&query.result) },
        status_code,
        beyond: query.beyond,
    }
}
