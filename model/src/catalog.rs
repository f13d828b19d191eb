//! The built-in object types and their events (`spec/engine.md` §1, *Catalogue*).
//!
//! Ids are the original's table names, so that its clients understand us.

/// One event of a type: `poweron`, "Power On".
#[derive(Debug, PartialEq, Eq)]
pub struct EventKind {
    /// The id in occurrences and rows.
    pub id: &'static str,
    /// The label in the console.
    pub label: &'static str,
}

/// One area of the managed system.
#[derive(Debug, PartialEq, Eq)]
pub struct ObjectType {
    /// The id in occurrences and rows.
    pub id: &'static str,
    /// "Virtual Machine": labels the object field.
    pub singular: &'static str,
    /// "Virtual Machines": labels the type in selects.
    pub plural: &'static str,
    /// Whether occurrences name an object.
    pub has_objects: bool,
    /// Whether its objects carry tags.
    pub has_tags: bool,
    /// What can happen.
    pub events: &'static [EventKind],
}

macro_rules! events {
    ($($id:literal $label:literal),*) => { &[$(EventKind { id: $id, label: $label }),*] };
}

/// Every built-in type that has events, in the order of the form.
pub const OBJECT_TYPES: &[ObjectType] = &[
    ObjectType {
        id: "vms",
        singular: "Virtual Machine",
        plural: "Virtual Machines",
        has_objects: true,
        has_tags: true,
        events: events!["poweron" "Power On", "poweroff" "Power Off", "created" "New VM Created"],
    },
    ObjectType {
        id: "users",
        singular: "User",
        plural: "Users",
        has_objects: true,
        has_tags: true,
        events: events!["login" "Logged In", "logout" "Logged Out", "login_failed" "Login Failed"],
    },
    ObjectType {
        id: "tenants",
        singular: "Tenant",
        plural: "Tenants",
        has_objects: true,
        has_tags: true,
        events: events!["online" "Online", "offline" "Offline", "error" "Error"],
    },
    ObjectType {
        id: "site_syncs_outgoing",
        singular: "Outgoing Sync",
        plural: "Outgoing Syncs",
        has_objects: true,
        has_tags: false,
        events: events!["error" "Error", "completed" "Completed"],
    },
    ObjectType {
        id: "alarms",
        singular: "Alarm",
        plural: "Alarms",
        has_objects: false,
        has_tags: false,
        events: events!["raised" "Raised", "lowered" "Lowered"],
    },
    ObjectType {
        id: "logs",
        singular: "Log",
        plural: "Logs",
        has_objects: false,
        has_tags: false,
        events: events!["created" "Log Created"],
    },
    ObjectType {
        id: "certificates",
        singular: "Certificate",
        plural: "Certificates",
        has_objects: true,
        has_tags: false,
        events: events!["before_renewal" "Before Renewal", "after_renewal" "After Renewal"],
    },
    ObjectType {
        id: "update_settings",
        singular: "System Update",
        plural: "System Update",
        has_objects: false,
        has_tags: false,
        events: events!["completed" "Update Completed"],
    },
];

/// The built-in type with this id.
pub fn find_type(id: &str) -> Option<&'static ObjectType> {
    OBJECT_TYPES.iter().find(|object_type| object_type.id == id)
}

impl ObjectType {
    /// The event of this type with this id.
    pub fn find_event(&self, id: &str) -> Option<&'static EventKind> {
        self.events.iter().find(|event| event.id == id)
    }
}

/// "Power On" for `vms.poweron`; the bare id of what the catalogue does not know.
pub fn event_label<'a>(type_id: &str, event_id: &'a str) -> &'a str {
    find_type(type_id).and_then(|object_type| object_type.find_event(event_id)).map_or(event_id, |event| event.label)
}

/// "Virtual Machines" for `vms`; the bare id of what the catalogue does not know.
pub fn type_label(type_id: &str) -> &str {
    find_type(type_id).map_or(type_id, |object_type| object_type.plural)
}
