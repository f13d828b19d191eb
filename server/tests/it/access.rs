//! Revoking access: a revoked key, a disabled account and a changed password count from the next request, on every
//! node.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{PASSWORD, TestServer, TestStore};
use crate::process::run;
use app::view::inventory::ObjectQuery;
use model::access::{Role, Scope};
use rstest::rstest;
use serde_json::json;
use server::service::account::{self, Change};
use server::store::{Store, access};

fn vm(name: &str) -> serde_json::Value {
    json!({"type": "vms", "event": "poweron", "object": {"id": name, "name": name}})
}

/// Returns the store as another process has it: the same database, without the caches of this server.
fn elsewhere(server: &TestServer) -> &Store {
    &server.services.store
}

async fn see(server: &TestServer, cookie: &str) -> u16 {
    let page = server.http.get(format!("{}/webhooks", server.url)).header("cookie", cookie).send().await;
    page.expect("a response").status().as_u16()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_key_is_refused_at_once(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let clock = &server.services.clock;
    let key = server.key("dc", &[Scope::Ingest, Scope::Inventory, Scope::Read]).await;
    // The server caches the key for a second. The clock of this test stands still meanwhile.
    assert_eq!(server.post(&key, &vm("a")).await.0, 202);
    account::revoke_key(elsewhere(&server), clock, "dc").await.expect("revoked");
    let (status, response) = server.post(&key, &vm("b")).await;
    assert_eq!((status, &response["error"]["code"]), (401, &json!("signed_out")), "{response}");
    assert_eq!(server.call("PATCH", "/api/v1/inventory/vms", &key, Some(&json!([]))).await.0, 401);
    assert!(account::revoke_key(elsewhere(&server), clock, "dc").await.is_err(), "the key is revoked already");

    // A new key with the same name is another key.
    server.advance(std::time::Duration::from_millis(1));
    let new = server.key("dc", &[Scope::Ingest]).await;
    assert_eq!(server.post(&new, &vm("c")).await.0, 202);
    assert_eq!(server.post(&key, &vm("d")).await.0, 401);
    assert_eq!(server.call("PATCH", "/api/v1/inventory/vms", &new, Some(&json!([]))).await.0, 403, "its own scopes");
    let names = server.services.backend().inventory.list_objects(ObjectQuery::default()).await.expect("listed").rows;
    let names: Vec<_> = names.into_iter().filter(|one| one.type_id == "vms").map(|one| one.name).collect();
    assert_eq!(names, ["a", "c"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disabled_account_loses_its_session_and_cannot_sign_in(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    assert_eq!(see(&server, &cookie).await, 200);
    let clock = &server.services.clock;
    assert_eq!(account::change(elsewhere(&server), clock, "maria", Change::Disable).await.expect("changed"), 1);
    assert_eq!(see(&server, &cookie).await, 303);
    let form = [("name", "maria"), ("password", PASSWORD)];
    let refused = server.post_form("/sign-in", "", &form).await;
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.expect("a page").contains("may not sign in for now"));
    let wrong = server.post_form("/sign-in", "", &[("name", "maria"), ("password", "something else")]).await;
    assert!(
        !wrong.text().await.expect("a page").contains("may not sign in for now"),
        "the reason is shown only with the right password"
    );

    account::change(elsewhere(&server), clock, "maria", Change::Enable).await.expect("changed");
    assert_eq!(see(&server, &cookie).await, 303, "the session has ended for good");
    assert_eq!(server.post_form("/sign-in", "", &form).await.status(), 303);

    // A session that began at the same moment is invalid too.
    let other = server.sign_in("olga", Role::Admin).await;
    let db = elsewhere(&server).write();
    let id = access::find_account(db, "olga").await.expect("asked").expect("there").id;
    access::set_disabled(db, id, Some(clock.now())).await.expect("disabled");
    assert_eq!(see(&server, &other).await, 303);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_password_ends_every_session_of_the_account(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let first = server.sign_in("maria", Role::Operator).await;
    let other = server.sign_in("olga", Role::Operator).await;
    let clock = &server.services.clock;
    let change = Change::Password("another good one".to_owned().into());
    assert_eq!(account::change(elsewhere(&server), clock, "maria", change).await.expect("changed"), 1);
    assert_eq!((see(&server, &first).await, see(&server, &other).await), (303, 200));
    let sign_in = async |password: &str| {
        server.post_form("/sign-in", "", &[("name", "maria"), ("password", password)]).await.status().as_u16()
    };
    assert_eq!((sign_in(PASSWORD).await, sign_in("another good one").await), (422, 303));
    assert_eq!(account::change(elsewhere(&server), clock, "olga", Change::EndSessions).await.expect("changed"), 1);
    assert_eq!(see(&server, &other).await, 303);

    // A session that began at the same moment by the earlier password is invalid too.
    let late = server.sign_in("hans", Role::Operator).await;
    let db = elsewhere(&server).write();
    let id = access::find_account(db, "hans").await.expect("asked").expect("there").id;
    access::set_password(db, id, "another hash".to_owned()).await.expect("changed");
    assert_eq!(see(&server, &late).await, 303);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_commands_list_accounts_and_keys_and_report_changes(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    crate::process::prepare(&test, "http://127.0.0.1:9/", "3").await;
    let run = |arguments: &[&str]| run(&test, arguments, |_| ());
    assert_eq!(run(&["user", "list"]), (true, "maria\tadmin\tenabled\n".to_owned()));
    assert_eq!(run(&["user", "disable", "maria"]), (true, "maria may no longer sign in.\n".to_owned()));
    assert_eq!(run(&["user", "list"]), (true, "maria\tadmin\tdisabled\n".to_owned()));
    let (done, output) = run(&["user", "sessions", "nobody"]);
    assert!(!done && output.contains("there is no account nobody; `hookwright user list`"), "{output}");
    let (done, output) = run(&["key", "list"]);
    assert!(done && output.starts_with("dc\tingest\tcreated ") && output.ends_with("\tvalid\n"), "{output}");
    assert_eq!(run(&["key", "revoke", "dc"]), (true, "The key dc is revoked.\n".to_owned()));
    let (done, output) = run(&["key", "list"]);
    assert!(done && output.contains("\trevoked "), "{output}");
    let (done, output) = run(&["key", "revoke", "dc"]);
    assert!(!done && output.contains("there is no valid key dc"), "{output}");
}
