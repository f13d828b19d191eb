//! The database fails while deliveries are in flight. Nothing is lost, nothing is sent twice, and the server recovers
//! by itself.

use crate::harness::{Gate, TestInbox, TestServer, TestStore, begin_holding, eventually};
use app::view::delivery::DeliveryLine;
use model::access::Scope;
use model::delivery::Status;
use model::id::ApiKeyId;
use model::occurrence::parse_json;
use model::time::Timestamp;
use rstest::rstest;
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, Statement};
use serde_json::{Value, json};
use server::clock::{Clock, Zone};
use server::engine::lane::Lanes;
use server::intake::{self, Intake};
use server::store::access::ApiKey;
use server::store::{Store, connect, entity, occurrence, webhook};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

/// Brings `count` deliveries into flight, each through a webhook of its own. Returns a key for further occurrences.
async fn in_flight(server: &TestServer, gate: &Gate, count: usize) -> String {
    let key = server.key("dc", &[Scope::Ingest]).await;
    for number in 0..count {
        let webhook = server.webhook(&format!("w{number}"), &format!("{}/{number}", gate.url), |_| ()).await;
        server.event(server.task(&format!("t{number}"), webhook, &format!("\"{number}\""), false).await).await;
    }
    assert_eq!(post(server, &key).await, 202);
    eventually("all are in flight", async || gate.waiting() == count).await;
    key
}

async fn post(server: &TestServer, key: &str) -> u16 {
    server.post(key, &json!({"type": "vms", "event": "poweron"})).await.0
}

/// Checks that occurrences are refused for five seconds, which is longer than any retry of the server. With `may_fit`,
/// an occurrence that fits into the existing pages of the database may be accepted.
async fn stays_away(server: &TestServer, key: &str, may_fit: bool) {
    let since = std::time::Instant::now();
    let mut refused = 0;
    while since.elapsed() < std::time::Duration::from_secs(5) {
        let status = post(server, key).await;
        assert!(status == 503 || (may_fit && status == 202), "{status}");
        refused += usize::from(status == 503);
        crate::harness::pause().await;
    }
    assert!(refused > 0);
}

async fn assert_all_sent_once(server: &TestServer, gate: &Gate, count: usize) {
    let rows = server.deliveries_until(|rows| rows.iter().all(DeliveryLine::is_settled)).await;
    assert_eq!(rows.len(), count);
    assert!(rows.iter().all(|row| (row.status, row.attempts) == (Some(Status::Sent), 1)), "{rows:?}");
    assert_eq!(gate.bodies().len(), count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_loses_and_repeats_no_delivery() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let gate = Gate::closed().await;
    let key = in_flight(&server, &gate, 20).await;
    let writer = server.services.store.write();
    // SQLite limits the file to its current size, and refuses the next page as on a full disk.
    let turn = async || server.services.store.turn().await.expect("a turn").expect("SQLite");
    writer.execute_unprepared("PRAGMA max_page_count = 1").await.expect("limited");
    turn().await.limit_pages(1).await.expect("limited");
    let mut refused = 0;
    for _ in 0..100 {
        let status = post(&server, &key).await;
        assert!(status == 202 || status == 503, "{status}");
        refused += usize::from(status == 503);
        if refused == 3 {
            break;
        }
    }
    assert_eq!(refused, 3, "the disk is full");
    gate.respond(10_000);
    eventually("all have their response", async || gate.waiting() == 0).await;
    stays_away(&server, &key, true).await;
    writer.execute_unprepared("PRAGMA max_page_count = 1000000").await.expect("capacity again");
    turn().await.limit_pages(1_000_000).await.expect("capacity again");
    eventually("everything is recorded", async || {
        let queue = server::store::figures::queue(server.services.store.read()).await.expect("counted");
        queue.queued + queue.running == 0
    })
    .await;
    assert_eq!(post(&server, &key).await, 202);
    // Some were accepted before the disk was full.
    let accepted = server.deliveries_until(|rows| rows.iter().all(DeliveryLine::is_settled)).await.len();
    assert_all_sent_once(&server, &gate, accepted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_postgres_loses_and_repeats_no_delivery() {
    let test = TestStore::postgres().await;
    let url = test.url.clone().expect("a URL");
    let server = TestServer::start(test).await;
    let gate = Gate::closed().await;
    let key = in_flight(&server, &gate, 20).await;
    let name = url.split('?').next().and_then(|url| url.rsplit('/').next()).expect("a name");
    let admin =
        sea_orm::Database::connect(std::env::var("HOOKWRIGHT_TEST_POSTGRES").expect("set")).await.expect("connects");
    let run = async |sql: String| admin.execute_unprepared(&sql).await.expect("done");
    run(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    run(format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")).await;
    assert_eq!(post(&server, &key).await, 503);
    gate.respond(10_000);
    eventually("all have their response", async || gate.waiting() == 0).await;
    stays_away(&server, &key, false).await;
    run(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    eventually("the server recovers by itself", async || {
        let queue = server::store::figures::queue(server.services.store.read()).await;
        queue.is_ok_and(|queue| queue.queued + queue.running == 0)
    })
    .await;
    assert_all_sent_once(&server, &gate, 20).await;
    assert_eq!(post(&server, &key).await, 202);
    assert_all_sent_once(&server, &gate, 40).await;
}

/// The bytes by which the commit of a transaction is recognised.
const COMMIT: &[u8] = b"COMMIT";

/// A proxy to the PostgreSQL of this test. It can lose the acknowledgement of a commit, stay closed after that, or go
/// silent.
#[derive(Clone)]
struct Relay {
    socket: String,
    /// The bytes by which a message that commits is recognised.
    commit: &'static [u8],
    /// Hangs up after the next commit.
    hangs_up: Arc<AtomicBool>,
    /// After hanging up, ends all connections and accepts none.
    stays_closed: Arc<AtomicBool>,
    all: CancellationToken,
    /// Passes nothing on and ends no connection, as when the host has vanished.
    is_silent: Arc<AtomicBool>,
}

impl Relay {
    /// Starts a relay. Returns it and the URL of the database through it.
    async fn start(test: &TestStore) -> (Self, String) {
        Self::start_for(test, COMMIT).await
    }

    /// Starts a relay that recognises a commit by these bytes.
    async fn start_for(test: &TestStore, commit: &'static [u8]) -> (Self, String) {
        let url = test.url.clone().expect("a URL");
        let (start, directory) = url.split_once("?host=").expect("a socket's directory");
        let socket = format!("{}/.s.PGSQL.5432", percent_encoding::percent_decode_str(directory).decode_utf8_lossy());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let relay = Self {
            socket,
            commit,
            hangs_up: Arc::default(),
            stays_closed: Arc::default(),
            all: CancellationToken::new(),
            is_silent: Arc::default(),
        };
        let of_clients = relay.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let is_closed = of_clients.stays_closed.load(Ordering::SeqCst) && of_clients.has_hung_up();
                if !is_closed {
                    let relay = Self { all: CancellationToken::new(), ..of_clients.clone() };
                    let relay = if of_clients.all.is_cancelled() { relay } else { of_clients.clone() };
                    tokio::spawn(relay.pass_on(client));
                }
            }
        });
        (relay, start.replacen("@localhost/", &format!("@{address}/"), 1))
    }

    fn has_hung_up(&self) -> bool {
        !self.hangs_up.load(Ordering::SeqCst)
    }

    /// Passes on the bytes of both sides. With `hangs_up`, ends the connection before it passes on the acknowledgement
    /// of a commit.
    async fn pass_on(self, mut client: TcpStream) -> std::io::Result<()> {
        let mut server = UnixStream::connect(&self.socket).await?;
        let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
        loop {
            tokio::select! {
                read = client.read(&mut from_client) => {
                    let bytes = &from_client[..read?];
                    if self.is_silent.load(Ordering::SeqCst) {
                        // The wait never ends, since a host that comes back has forgotten its connections.
                        return std::future::pending().await;
                    }
                    server.write_all(bytes).await?;
                    let is_commit = bytes.windows(self.commit.len()).any(|word| word == self.commit);
                    if bytes.is_empty() || (is_commit && self.hangs_up.swap(false, Ordering::SeqCst)) {
                        // Waits for the commit.
                        let _ = server.read(&mut from_server).await?;
                        if self.stays_closed.load(Ordering::SeqCst) {
                            self.all.cancel();
                        }
                        return Ok(());
                    }
                }
                () = self.all.cancelled() => return Ok(()),
                read = server.read(&mut from_server) => match read? {
                    0 => return Ok(()),
                    count => client.write_all(&from_server[..count]).await?,
                },
            }
        }
    }
}

fn intake_through(store: Store) -> (Intake, Arc<ApiKey>) {
    let intake =
        Intake::start(store, Clock::system(), Zone::new(jiff::tz::TimeZone::UTC), Arc::default(), Lanes::default());
    let scopes = vec![Scope::Ingest];
    let key = ApiKey { id: ApiKeyId(0), name: "dc".into(), scopes, created_at: Timestamp(0), revoked_at: None };
    (intake, Arc::new(key))
}

/// A group with a new object is a transaction. A plain group is one statement. Once the rules are cached, no other
/// statement contains the events of its occurrences.
#[rstest]
#[case::transaction(COMMIT, json!({"name": "new"}))]
#[case::statement(b"poweron", json!(null))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commit_with_a_lost_acknowledgement_is_not_repeated(#[case] commit: &'static [u8], #[case] object: Value) {
    let test = TestStore::postgres().await;
    let (relay, url) = Relay::start_for(&test, commit).await;
    let (intake, key) = intake_through(connect::open_postgres(&url).await.expect("connects"));
    // Without an id of the sender only the ids of the occurrences can identify the batch.
    for all in [2, 4] {
        let mut batch = json!([{"type": "vms", "event": "poweron"}, {"type": "vms", "event": "poweroff"}]);
        if !object.is_null() {
            batch[0]["object"] = json!({"name": format!("{} {all}", object["name"])});
        }
        let batch = parse_json(&batch).expect("valid");
        relay.hangs_up.store(all == 4, Ordering::SeqCst);
        let accepted = intake.accept(key.clone(), batch.clone()).await.expect("accepted");
        let stored = occurrence::list_newest(test.store.read(), 9).await.expect("read");
        assert_eq!(stored.len(), all);
        assert!(accepted.iter().all(|one| stored.iter().any(|row| row.uuid == one.id)), "each returned id is stored");
    }
    assert!(relay.has_hung_up(), "the relay has hung up");
}

#[rstest]
#[case::transaction(COMMIT, json!("new"))]
#[case::statement(b"poweron", json!(null))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commit_with_an_unknown_outcome_is_never_reported_as_not_stored(
    #[case] commit: &'static [u8],
    #[case] object: Value,
) {
    let test = TestStore::postgres().await;
    let (relay, url) = Relay::start_for(&test, commit).await;
    let (intake, key) = intake_through(connect::open_postgres(&url).await.expect("connects"));
    let number = AtomicU32::new(0);
    // While the first has the writer, the others wait and form one group, or one each.
    let accept = async || {
        let number = number.fetch_add(1, Ordering::SeqCst);
        let mut one = json!({"type": "vms", "event": "poweron", "source": number.to_string()});
        if !object.is_null() {
            one["object"] = json!({"name": format!("new {number}")});
        }
        intake.accept(key.clone(), parse_json(&one).expect("valid")).await
    };
    // Both workers of the intake have read the rules.
    for _ in 0..2 {
        assert!(accept().await.is_ok());
    }
    relay.stays_closed.store(true, Ordering::SeqCst);
    relay.hangs_up.store(true, Ordering::SeqCst);
    let (one, other) = tokio::join!(accept(), accept());
    let rows = occurrence::list_newest(test.store.read(), 9).await.expect("read");
    let is_stored = |source: &str| rows.iter().any(|row| row.source == source);
    let mut unknown = 0;
    for (source, response) in [("2", one), ("3", other)] {
        match response {
            // The outcome of a group that could not be sent over the closed connection may be unknown, too.
            Err(intake::Error::Unknown(_)) => unknown += 1,
            response => assert_eq!(response.is_ok(), is_stored(source), "occurrence {source} is reported as it is"),
        }
    }
    assert!(unknown >= 1, "the group of the lost commit");
    assert!(is_stored("2") || is_stored("3"), "the lost commit is stored");
    relay.stays_closed.store(false, Ordering::SeqCst);
    eventually("the server recovers by itself", async || accept().await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_with_a_vanished_host_recovers_without_loss_or_repetition() {
    let mut test = TestStore::postgres().await;
    let (relay, url) = Relay::start(&test).await;
    test.store = connect::open_postgres(&url).await.expect("connects");
    test.store.patience = std::time::Duration::from_secs(2);
    let server = TestServer::start(test).await;
    let gate = Gate::closed().await;
    let key = in_flight(&server, &gate, 20).await;
    relay.is_silent.store(true, Ordering::SeqCst);
    gate.respond(10_000);
    eventually("all have their response", async || gate.waiting() == 0).await;
    assert_eq!(post(&server, &key).await, 503);
    relay.is_silent.store(false, Ordering::SeqCst);
    assert_all_sent_once(&server, &gate, 20).await;
    assert_eq!(post(&server, &key).await, 202);
    assert_all_sent_once(&server, &gate, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_whose_commit_had_no_response_is_sent_once() {
    let mut test = TestStore::postgres().await;
    let (relay, url) = Relay::start_for(&test, b"poweron").await;
    test.store = connect::open_postgres(&url).await.expect("connects");
    let server = TestServer::start(test).await;
    let gate = Gate::closed().await;
    let key = in_flight(&server, &gate, 1).await;
    relay.hangs_up.store(true, Ordering::SeqCst);
    // The lease and the delivery are stored, but this node does not know its id.
    assert_eq!(post(&server, &key).await, 202);
    assert!(relay.has_hung_up(), "the relay has hung up");
    gate.respond(10_000);
    assert_all_sent_once(&server, &gate, 2).await;
}

/// The commit hangs for longer than the time limit, and succeeds while the record is tried again, or waits to be.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempt_with_a_slow_commit_is_recorded_and_counted_once(#[values(true, false)] is_tried: bool) {
    let mut test = TestStore::postgres().await;
    // Longer than the second for which a try waits for a lock.
    test.store.patience = std::time::Duration::from_secs(2);
    let server = TestServer::start(test).await;
    let store = &server.services.store;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &format!("{}/status/503", inbox.url), |_| ()).await;
    server.event(server.task("t", webhook, "", false).await).await;
    let slow = "CREATE FUNCTION wait_to_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                PERFORM set_config('lock_timeout', '0', true); PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END $$; \
                CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON attempt DEFERRABLE INITIALLY DEFERRED \
                FOR EACH ROW EXECUTE FUNCTION wait_to_commit()";
    store.write().execute_unprepared(slow).await.expect("made");
    let slow = begin_holding(store).await;
    slow.execute_unprepared("SELECT pg_advisory_xact_lock(4711)").await.expect("locked");
    assert_eq!(post(&server, &key).await, 202);
    let waits_for_row = async || {
        let sql = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'transactionid'";
        let row = store.read().query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
        row.expect("asked").is_some()
    };
    eventually("the next try waits for the first", &waits_for_row).await;
    if !is_tried {
        eventually("the next try is over", async || !waits_for_row().await).await;
    }
    slow.commit().await.expect("released");
    server.deliveries_until(|rows| rows[0].attempts == 1 && rows[0].status == Some(Status::Queued)).await;
    eventually("the record is over", async || server.services.lanes.is_idle()).await;
    let attempts = entity::attempt::Entity::find().all(store.read()).await.expect("read");
    assert_eq!(attempts.len(), 1);
    let row = webhook::find(store.read(), webhook).await.expect("read").expect("there");
    assert_eq!(row.hold.breaker.failures, 1);
}
