//! Use cases of deliveries.

mod command;
mod list;
mod mail;
mod request;
pub(super) mod response;
mod show;

pub(super) use list::NEWEST;

use super::Services;
use crate::store::delivery::AttemptRow;
use app::backend::Deliveries;
use app::error::AppError;
use app::view::Listed;
use app::view::dashboard::Dashboard;
use app::view::delivery::{DeliveryDetail, DeliveryLine, DeliveryQuery};
use app::view::run::{RunLine, RunQuery};
use async_trait::async_trait;
use model::number::to_u32;
use std::time::Duration;
use uuid::Uuid;

fn not_found() -> AppError {
    AppError::not_found("delivery")
}

fn parse_uuid(text: &str) -> Result<Uuid, AppError> {
    text.parse().map_err(|_| not_found())
}

/// Returns the destination's revision of the last attempt, if there was an attempt and it has one.
fn last_revision(attempts: &[AttemptRow]) -> Option<i64> {
    attempts.last().map(|attempt| attempt.destination_revision).filter(|revision| *revision > 0)
}

/// Returns a duration as pages show it, in milliseconds.
fn shown_millis(duration: Duration) -> u32 {
    to_u32(duration.as_millis())
}

#[async_trait]
impl Deliveries for Services {
    async fn list_newest(&self) -> Result<Vec<DeliveryLine>, AppError> {
        self.newest_deliveries().await
    }

    async fn search(&self, query: DeliveryQuery) -> Result<Listed<DeliveryLine>, AppError> {
        self.search_deliveries(query).await
    }

    async fn detail(&self, uuid: String) -> Result<DeliveryDetail, AppError> {
        self.delivery_detail(&uuid).await
    }

    async fn runs(&self, query: RunQuery) -> Result<Listed<RunLine>, AppError> {
        self.list_runs(query).await
    }

    async fn dashboard(&self) -> Result<Dashboard, AppError> {
        self.load_dashboard().await
    }

    async fn replay(&self, uuid: String, is_original: bool, by: String) -> Result<String, AppError> {
        self.replay_delivery(&uuid, is_original, by).await
    }

    async fn discard(&self, uuid: String, by: String) -> Result<(), AppError> {
        self.discard_delivery(&uuid, &by).await
    }
}
