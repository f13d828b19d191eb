//! Results of commands, as the redirect after a command carries them to the next page.

/// The result of a command that has succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it; `part::notice` has the messages")]
pub enum Done {
    Confirmed,
    Deleted,
    Disabled,
    DisabledTask,
    Discarded,
    Enabled,
    Executed,
    Paused,
    Posted,
    Replayed,
    ReplayedChecked,
    Resumed,
    Saved,
    Sealed,
    Triggered,
    /// A webhook was saved whose host's name does not resolve at the moment.
    Unresolved,
}

impl Done {
    const ALL: [Self; 16] = [
        Self::Confirmed,
        Self::Deleted,
        Self::Disabled,
        Self::DisabledTask,
        Self::Discarded,
        Self::Enabled,
        Self::Executed,
        Self::Paused,
        Self::Posted,
        Self::Replayed,
        Self::ReplayedChecked,
        Self::Resumed,
        Self::Saved,
        Self::Sealed,
        Self::Triggered,
        Self::Unresolved,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Deleted => "deleted",
            Self::Disabled => "disabled",
            Self::DisabledTask => "disabled-task",
            Self::Discarded => "discarded",
            Self::Enabled => "enabled",
            Self::Executed => "executed",
            Self::Paused => "paused",
            Self::Posted => "posted",
            Self::Replayed => "replayed",
            Self::ReplayedChecked => "replayed-checked",
            Self::Resumed => "resumed",
            Self::Saved => "saved",
            Self::Sealed => "sealed",
            Self::Triggered => "triggered",
            Self::Unresolved => "unresolved",
        }
    }

    /// Returns the result that a URL carries, if it carries one.
    pub fn find(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|done| done.as_str() == code)
    }

    /// Returns the address of a page that says this result. The page's own address may have a query.
    pub fn at(self, page: &str) -> String {
        let mark = if page.contains('?') { '&' } else { '?' };
        format!("{page}{mark}done={}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn done_is_read_back_from_its_address() {
        for done in Done::ALL {
            let address = done.at("/webhooks/7");
            assert_eq!(address.strip_prefix("/webhooks/7?done=").and_then(Done::find), Some(done));
        }
        assert_eq!(Done::Deleted.at("/tasks?sort=-name"), "/tasks?sort=-name&done=deleted");
        assert_eq!(Done::find("<b>"), None);
    }
}
