//! The names of the measurements, and how large they are.

/// How many messages to send.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Full,
    /// A tenth.
    Short,
}

/// A measurement.
pub(super) enum Work {
    /// Start, stop and memory.
    Process,
    /// Messages as fast as the server takes them.
    Deliveries { webhooks: u32, senders: u32 },
    /// Messages at a fixed rate a second.
    Latency { rate: u32 },
    /// One of fifty webhooks hangs.
    Hanging,
    /// The size of a delivery on the disk.
    Disk,
    /// A hundred thousand deliveries wait.
    Backlog,
    /// The pages of the console.
    Pages,
}

impl Work {
    /// Returns all measurements, in their order.
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![Self::Process];
        for webhooks in [1, 10] {
            all.extend([1, 16, 64].map(|senders| Self::Deliveries { webhooks, senders }));
        }
        all.extend([50, 500].map(|rate| Self::Latency { rate }));
        all.extend([Self::Hanging, Self::Disk, Self::Backlog, Self::Pages]);
        all
    }

    /// Returns the name for `--only`.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Process => "process".into(),
            Self::Deliveries { webhooks, senders } => format!("deliveries-{webhooks}-{senders}"),
            Self::Latency { rate } => format!("latency-{rate}"),
            Self::Hanging => "hanging".into(),
            Self::Disk => "disk".into(),
            Self::Backlog => "backlog".into(),
            Self::Pages => "pages".into(),
        }
    }

    /// Returns true if the measurement has no meaning on an empty database.
    pub(super) fn needs_filling(&self) -> bool {
        matches!(self, Self::Pages)
    }
}
