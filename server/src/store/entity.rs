//! The tables as rows. Only the store sees them; the rest of the server sees the types of the modules beside this one.

#![expect(missing_docs, reason = "each struct mirrors a table; the migrations say what the columns mean")]

macro_rules! table {
    ($module:ident, $name:literal, { $($(#[$meta:meta])* $field:ident: $type:ty),* $(,)? }) => {
        pub mod $module {
            use sea_orm::entity::prelude::*;

            #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
            #[sea_orm(table_name = $name)]
            pub struct Model {
                $($(#[$meta])* pub $field: $type,)*
            }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}
        }
    };
}

table!(setting, "setting", {
    #[sea_orm(primary_key, auto_increment = false)] key: String,
    value: String,
});

table!(account, "account", {
    #[sea_orm(primary_key)] id: i64,
    name: String,
    role: String,
    password_hash: String,
    created_at: i64,
    disabled_at: Option<i64>,
});

table!(session, "session", {
    #[sea_orm(primary_key, auto_increment = false)] id_hash: Vec<u8>,
    account_id: Option<i64>,
    data: String,
    created_at: i64,
    expires_at: i64,
});

table!(api_key, "api_key", {
    #[sea_orm(primary_key)] id: i64,
    name: String,
    key_hash: Vec<u8>,
    scopes: String,
    created_at: i64,
    revoked_at: Option<i64>,
});

table!(destination, "destination", {
    #[sea_orm(primary_key)] id: i64,
    kind: String,
    uuid: Uuid,
    name: String,
    timeout_ms: i64,
    retries: i64,
    revision: i64,
    created_at: i64,
    updated_at: i64,
    deleted_at: Option<i64>,
    paused_at: Option<i64>,
    release_per_second: Option<i64>,
    released_at: Option<i64>,
    target_revision: i64,
    breaker_failures: i64,
    breaker_opened_at: Option<i64>,
    breaker_wait_ms: Option<i64>,
    breaker_probe_at: Option<i64>,
    breaker_is_probing: bool,
    is_hanging: bool,
    arranging: i64,
});

table!(webhook, "webhook", {
    #[sea_orm(primary_key, auto_increment = false)] id: i64,
    url: String,
    method: String,
    authorization: String,
    secret: Option<Vec<u8>>,
    headers: String,
    allows_insecure_tls: bool,
    is_direct: bool,
    signing_secret: Option<Vec<u8>>,
    secret_headers: Option<Vec<u8>>,
    note: String,
});

table!(mailer, "mailer", {
    #[sea_orm(primary_key, auto_increment = false)] id: i64,
    host: String,
    port: i64,
    encryption: String,
    username: String,
    password: Option<Vec<u8>>,
    from_address: String,
    from_name: String,
    allows_insecure_tls: bool,
});

table!(task, "task", {
    #[sea_orm(primary_key)] id: i64,
    name: String,
    description: String,
    is_enabled: bool,
    deletes_after_running: bool,
    claimed_at: Option<i64>,
    destination_id: i64,
    settings: String,
    revision: i64,
    created_at: i64,
    updated_at: i64,
});

table!(object, "object", {
    #[sea_orm(primary_key)] id: i64,
    type_id: String,
    external_id: Option<String>,
    name: String,
    created_at: i64,
    updated_at: i64,
    gone_at: Option<i64>,
});

table!(event, "event", {
    #[sea_orm(primary_key)] id: i64,
    type_id: String,
    event_id: String,
    scope: String,
    object_id: Option<i64>,
    task_id: i64,
    is_enabled: bool,
    revision: i64,
    created_at: i64,
    updated_at: i64,
    tag_id: Option<i64>,
    level: Option<String>,
    source: Option<String>,
});

table!(schedule, "schedule", {
    #[sea_orm(primary_key)] id: i64,
    name: String,
    description: String,
    is_enabled: bool,
    rule: String,
    revision: i64,
    next_at: Option<i64>,
    created_at: i64,
    updated_at: i64,
});

table!(schedule_trigger, "schedule_trigger", {
    #[sea_orm(primary_key)] id: i64,
    schedule_id: i64,
    task_id: i64,
    is_enabled: bool,
    created_at: i64,
});

table!(occurrence, "occurrence", {
    #[sea_orm(primary_key)] id: i64,
    uuid: Uuid,
    type_id: String,
    event_id: String,
    object_id: Option<i64>,
    object_external_id: Option<String>,
    object_name: Option<String>,
    external_id: Option<String>,
    source: String,
    occurred_at: Option<i64>,
    received_at: i64,
    data: Option<String>,
    tasks_started: i64,
    object_tags: Option<String>,
    reasons: String,
    depth: i64,
    revision_mark: i64,
    about_destination: Option<i64>,
});

table!(receipt, "receipt", {
    #[sea_orm(primary_key)] id: i64,
    key_id: i64,
    source: String,
    external_id: String,
    content_hash: Vec<u8>,
    occurrence: Uuid,
    tasks_started: i64,
    created_at: i64,
    repeats: i64,
});

table!(run, "run", {
    #[sea_orm(primary_key)] id: i64,
    task_id: Option<i64>,
    task_name: String,
    occurrence_id: Option<i64>,
    event_ids: String,
    status: String,
    started_at: i64,
    ended_at: Option<i64>,
    cause: String,
    caused_by: Option<String>,
    task_folded: Option<String>,
    note: Option<String>,
});

table!(delivery, "delivery", {
    #[sea_orm(primary_key, auto_increment = false)] id: i64,
    uuid: Uuid,
    destination_id: i64,
    destination_name: String,
    task_name: String,
    type_id: String,
    event_id: String,
    object_name: Option<String>,
    status: String,
    body: Vec<u8>,
    attempts: i64,
    claims: i64,
    next_attempt_at: Option<i64>,
    lease_owner: Option<Uuid>,
    lease_until: Option<i64>,
    status_code: Option<i64>,
    error_code: Option<String>,
    error: Option<String>,
    duration_ms: Option<i64>,
    created_at: i64,
    settled_at: Option<i64>,
    object_id: Option<i64>,
    hold_reason: Option<String>,
    notes: Option<String>,
    destination_folded: Option<String>,
    task_folded: Option<String>,
    object_folded: Option<String>,
    depth: i64,
    destination_revision: i64,
    replay_of: Option<i64>,
    replay_revision: Option<i64>,
    recipients: Option<String>,
});

table!(attempt, "attempt", {
    #[sea_orm(primary_key)] id: i64,
    delivery_id: i64,
    number: i64,
    started_at: i64,
    duration_ms: i64,
    status_code: Option<i64>,
    error_code: Option<String>,
    error: Option<String>,
    response_headers: String,
    response_body: Vec<u8>,
    response_note: Option<String>,
    destination_revision: i64,
    connect_ms: Option<i64>,
    first_byte_ms: Option<i64>,
});

table!(tag_category, "tag_category", {
    #[sea_orm(primary_key)] id: i64,
    name: String,
    description: String,
    is_single: bool,
    type_ids: String,
    revision: i64,
    created_at: i64,
    updated_at: i64,
});

table!(tag, "tag", {
    #[sea_orm(primary_key)] id: i64,
    category_id: i64,
    name: String,
    created_at: i64,
});

table!(object_tag, "object_tag", {
    #[sea_orm(primary_key, auto_increment = false)] object_id: i64,
    #[sea_orm(primary_key, auto_increment = false)] tag_id: i64,
});

table!(object_type, "object_type", {
    #[sea_orm(primary_key, auto_increment = false)] id: String,
    singular: String,
    plural: String,
    has_objects: bool,
    has_tags: bool,
    created_at: i64,
});

table!(object_event, "object_event", {
    #[sea_orm(primary_key, auto_increment = false)] type_id: String,
    #[sea_orm(primary_key, auto_increment = false)] event_id: String,
    label: String,
    created_at: i64,
});

table!(unknown_kind, "unknown_kind", {
    #[sea_orm(primary_key, auto_increment = false)] type_id: String,
    #[sea_orm(primary_key, auto_increment = false)] event_id: String,
    seen: i64,
    first_at: i64,
    last_at: i64,
});

table!(revision, "revision", {
    #[sea_orm(primary_key)] id: i64,
    kind: String,
    row_id: i64,
    number: i64,
    document: Option<String>,
    changed_at: i64,
});

table!(internal_event, "internal_event", {
    #[sea_orm(primary_key)] id: i64,
    document: String,
    created_at: i64,
});
