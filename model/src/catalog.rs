//! The catalogue: object types and their events, built-in ones and those of admins.
//!
//! Ids are the table names of the compatible API, so that its clients understand them. A [`Catalog`] is a value: the
//! built-in table below, extended by the server with the types and events in its database.

use crate::occurrence::{is_type_id, is_word};
use crate::{field_error::FieldErrors, text};
use serde::{Deserialize, Serialize};

/// The type of console accounts. Only the console reports occurrences of it.
pub const USERS: &str = "users";
/// The type of webhooks as objects. The dispatcher reports occurrences of it.
pub const WEBHOOKS: &str = "webhooks";
/// The type of mail servers as objects. The dispatcher reports occurrences of it, too.
pub const MAILERS: &str = "mailers";

/// Returns true if only the console may report occurrences of this type, and write its objects.
pub fn is_internal(type_id: &str) -> bool {
    matches!(type_id, USERS | WEBHOOKS | MAILERS)
}

/// The severities of log lines and alarms, as in `data.level`.
pub const LEVELS: &[&str] = &["audit", "message", "warning", "error", "critical", "summary", "debug"];

/// One event of a type: `poweron`, "Power On".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventKind {
    /// The id in occurrences and rows.
    pub id: String,
    /// The label that people see.
    pub label: String,
}

/// A type of objects of the managed system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent fact of the catalogue's table")]
pub struct ObjectType {
    /// The id in occurrences and rows.
    pub id: String,
    /// The label of the object field: "Virtual Machine".
    pub singular: String,
    /// The label of the type in selects: "Virtual Machines".
    pub plural: String,
    /// Occurrences name an object.
    pub has_objects: bool,
    /// Objects carry tags.
    pub has_tags: bool,
    /// Events can be filtered by level.
    pub has_level: bool,
    /// Events can be filtered by source.
    pub has_source: bool,
    /// The events of the type.
    pub events: Vec<EventKind>,
}

/// A row of the built-in table: id, plural, singular, properties, events as `id=label`.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

const BUILT_IN: &[Row] = &[
    (
        "vms",
        "Virtual Machines",
        "Virtual Machine",
        "objects tags",
        &[("poweron", "Power On"), ("poweroff", "Power Off"), ("created", "New VM Created")],
    ),
    (
        USERS,
        "Users",
        "User",
        "objects tags",
        &[("login", "Logged In"), ("logout", "Logged Out"), ("login_failed", "Login Failed")],
    ),
    (
        "tenants",
        "Tenants",
        "Tenant",
        "objects tags",
        &[("online", "Online"), ("offline", "Offline"), ("error", "Error")],
    ),
    (
        "site_syncs_outgoing",
        "Outgoing Syncs",
        "Outgoing Sync",
        "objects",
        &[("error", "Error"), ("completed", "Completed")],
    ),
    ("alarms", "Alarms", "Alarm", "level", &[("raised", "Raised"), ("lowered", "Lowered")]),
    ("logs", "Logs", "Log", "level source", &[("created", "Log Created")]),
    (
        "certificates",
        "Certificates",
        "Certificate",
        "objects",
        &[("before_renewal", "Before Renewal"), ("after_renewal", "After Renewal")],
    ),
    ("update_settings", "System Update", "System Update", "", &[("completed", "Update Completed")]),
    (WEBHOOKS, "Webhooks", "Webhook", "objects", &[("failing", "Failing"), ("recovered", "Recovered")]),
    (MAILERS, "Mail Servers", "Mail Server", "objects", &[("failing", "Failing"), ("recovered", "Recovered")]),
    ("clusters", "Clusters", "Cluster", "objects tags", &[]),
    ("groups", "Groups", "Group", "objects tags", &[]),
    ("vnets", "Networks", "Network", "objects tags", &[]),
    ("vnet_rules", "Network Rules", "Network Rule", "objects tags", &[]),
    ("nodes", "Nodes", "Node", "objects tags", &[]),
    ("sites", "Sites", "Site", "objects tags", &[]),
    ("tenant_nodes", "Tenant Nodes", "Tenant Node", "objects tags", &[]),
    ("vmware_containers", "VMware Containers", "VMware Container", "objects tags", &[]),
    ("volumes", "Volumes", "Volume", "objects tags", &[]),
];

/// The object types, in the order of the form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Catalog(pub Vec<ObjectType>);

impl Default for Catalog {
    /// The built-in types.
    fn default() -> Self {
        let read = |(id, plural, singular, properties, events): &Row| {
            let has = |word: &str| properties.split(' ').any(|property| property == word);
            ObjectType {
                id: (*id).to_owned(),
                singular: (*singular).to_owned(),
                plural: (*plural).to_owned(),
                has_objects: has("objects"),
                has_tags: has("tags"),
                has_level: has("level"),
                has_source: has("source"),
                events: events
                    .iter()
                    .map(|(id, label)| EventKind { id: (*id).to_owned(), label: (*label).to_owned() })
                    .collect(),
            }
        };
        Self(BUILT_IN.iter().map(read).collect())
    }
}

impl Catalog {
    /// Returns the built-in types.
    pub fn built_in() -> &'static Self {
        static ONCE: std::sync::LazyLock<Catalog> = std::sync::LazyLock::new(Catalog::default);
        &ONCE
    }

    /// Returns the type with this id.
    pub fn find(&self, id: &str) -> Option<&ObjectType> {
        self.0.iter().find(|object_type| object_type.id == id)
    }

    /// Returns the label of an event, "Power On" for `vms.poweron`, or the id of an event that is not in the catalogue.
    pub fn event_label<'a>(&'a self, type_id: &str, event_id: &'a str) -> &'a str {
        let found = self.find(type_id).and_then(|object_type| object_type.find_event(event_id));
        found.map_or(event_id, |event| event.label.as_str())
    }

    /// Returns the label of a type, "Virtual Machines" for `vms`, or the id of a type that is not in the catalogue.
    pub fn type_label<'a>(&'a self, type_id: &'a str) -> &'a str {
        self.find(type_id).map_or(type_id, |object_type| object_type.plural.as_str())
    }

    /// Adds a type of an admin at the end.
    pub fn add_type(&mut self, added: &TypeDefinition) {
        if self.find(&added.id).is_none() {
            self.0.push(ObjectType {
                id: added.id.clone(),
                singular: added.singular.clone(),
                plural: added.plural.clone(),
                has_objects: added.has_objects,
                has_tags: added.has_tags,
                has_level: false,
                has_source: false,
                events: Vec::new(),
            });
        }
    }

    /// Adds an event of an admin to its type, at the end.
    pub fn add_event(&mut self, type_id: &str, event: EventKind) {
        let found = self.0.iter_mut().find(|object_type| object_type.id == type_id);
        if let Some(object_type) = found.filter(|object_type| object_type.find_event(&event.id).is_none()) {
            object_type.events.push(event);
        }
    }
}

impl ObjectType {
    /// Returns the event with this id.
    pub fn find_event(&self, id: &str) -> Option<&EventKind> {
        self.events.iter().find(|event| event.id == id)
    }
}

/// Returns true if the type is built in. Nobody changes or removes built-in types.
pub fn is_built_in(type_id: &str) -> bool {
    BUILT_IN.iter().any(|(id, ..)| *id == type_id)
}

/// Returns true if the event is built in.
pub fn is_built_in_event(type_id: &str, event_id: &str) -> bool {
    BUILT_IN.iter().any(|(id, .., events)| *id == type_id && events.iter().any(|(event, _)| *event == event_id))
}

/// A checked type of an admin.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `ObjectType`")]
pub struct TypeDefinition {
    pub id: String,
    pub singular: String,
    pub plural: String,
    pub has_objects: bool,
    pub has_tags: bool,
}

/// A type as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each field is the form field of that name; the rules stand in `parse`")]
pub struct TypeDraft {
    pub id: String,
    pub singular: String,
    pub plural: String,
    pub has_objects: String,
    pub has_tags: String,
}

impl TypeDraft {
    /// Checks every field.
    ///
    /// # Errors
    /// Every wrong field, in the order of the form.
    pub fn parse(&self) -> Result<TypeDefinition, FieldErrors> {
        let mut errors = FieldErrors::default();
        let id = errors.check("id", parse_type_id(&self.id));
        if is_built_in(self.id.trim()) {
            errors.add("id", "This type is built in. Choose another id.");
        }
        let singular = errors.check("singular", text::parse_name(&self.singular, 64));
        let plural = errors.check("plural", text::parse_name(&self.plural, 64));
        let has_objects = self.has_objects == "true";
        let has_tags = self.has_tags == "true";
        if has_tags && !has_objects {
            errors.add("has_tags", "Only objects carry tags: a type with tags needs objects.");
        }
        match (id, singular, plural) {
            (Some(id), Some(singular), Some(plural)) if errors.is_empty() => {
                Ok(TypeDefinition { id, singular, plural, has_objects, has_tags })
            }
            _ => Err(errors),
        }
    }
}

/// An event of a type as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each field is the form field of that name; the rules stand in `parse`")]
pub struct EventKindDraft {
    pub id: String,
    pub label: String,
}

impl EventKindDraft {
    /// Checks both fields, for the type with this id.
    ///
    /// # Errors
    /// Every wrong field, in the order of the form.
    pub fn parse(&self, type_id: &str) -> Result<EventKind, FieldErrors> {
        let mut errors = FieldErrors::default();
        let id = errors.check("id", parse_word(&self.id));
        if is_built_in_event(type_id, self.id.trim()) {
            errors.add("id", "This event is built in. Choose another id.");
        }
        let label = errors.check("label", text::parse_name(&self.label, 64));
        match (id, label) {
            (Some(id), Some(label)) if errors.is_empty() => Ok(EventKind { id, label }),
            _ => Err(errors),
        }
    }
}

fn parse_word(typed: &str) -> Result<String, String> {
    let id = typed.trim();
    if is_word(id) { Ok(id.to_owned()) } else { Err("An id has 1 to 64 of A-Z, a-z, 0-9, _, -, / and :.".to_owned()) }
}

fn parse_type_id(typed: &str) -> Result<String, String> {
    let id = typed.trim();
    let words = "An id has 1 to 64 of A-Z, a-z, 0-9, _, -, / and :, with dots between.";
    if is_type_id(id) { Ok(id.to_owned()) } else { Err(words.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_catalogue_matches_the_specification() {
        let catalog = Catalog::default();
        let vms = catalog.find("vms").expect("built in");
        assert!(vms.has_objects && vms.has_tags && !vms.has_level);
        assert_eq!(catalog.event_label("site_syncs_outgoing", "completed"), "Completed");
        assert_eq!(catalog.event_label("vms", "exploded"), "exploded");
        let taggable = catalog.0.iter().filter(|object_type| object_type.has_tags).count();
        assert_eq!(taggable, 12, "the twelve taggable types of the original");
        let logs = catalog.find("logs").expect("built in");
        assert!(logs.has_level && logs.has_source && !logs.has_objects);
    }

    #[test]
    fn types_and_events_of_admins_come_last_and_replace_no_built_in_one() {
        let mut catalog = Catalog::default();
        let draft = TypeDraft {
            id: "backups".into(),
            singular: "Backup".into(),
            plural: "Backups".into(),
            ..TypeDraft::default()
        };
        catalog.add_type(&draft.parse().expect("valid"));
        catalog.add_event("backups", EventKind { id: "failed".into(), label: "Failed".into() });
        catalog.add_event("vms", EventKind { id: "poweron".into(), label: "Other".into() });
        assert_eq!(catalog.event_label("backups", "failed"), "Failed");
        assert_eq!(catalog.event_label("vms", "poweron"), "Power On");
        assert!(TypeDraft { id: "vms".into(), ..draft.clone() }.parse().is_err());
        assert!(TypeDraft { id: "My Type".into(), ..draft.clone() }.parse().is_err());
        assert!(TypeDraft { has_tags: "true".into(), ..draft }.parse().is_err());
        let event = EventKindDraft { id: "poweron".into(), label: "Again".into() };
        assert!(event.parse("vms").is_err() && event.parse("backups").is_ok());
    }
}
