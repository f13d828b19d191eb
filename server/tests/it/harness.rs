//! What the tests stand on: a database of their own on either engine, a server on a free port, a receiver.

use app::view::delivery::DeliveryRow;
use model::egress::Rules;
use model::id::{EventId, TaskId, WebhookId};
use model::time::Timestamp;
use model::webhook::WebhookDraft;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement};
use secrecy::SecretString;
use server::clock::{Clock, new_uuid};
use server::dispatch::Dispatcher;
use server::dispatch::client::Guard;
use server::dispatch::client::proxy::EgressProxy;
use server::http::proxy::Proxies;
use server::http::{Http, router};
use server::inbox::{self, Received};
use server::intake::Intake;
use server::service::{Services, account};
use server::store::Store;
use server::store::connect;
use server::vault::Vault;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

/// The password of every account made by tests.
pub(crate) const PASSWORD: &str = "correct horse battery";
/// The instant at which every test begins: 2025-10-16T15:38:07Z.
const BEGINNING: i64 = 1_760_629_087_000;

/// An empty, migrated database.
pub(crate) struct TestStore {
    pub(crate) store: Store,
    pub(crate) dir: TempDir,
    /// How another process opens it; none for the SQLite file in `dir`.
    pub(crate) url: Option<String>,
}

/// A database engine. Tests that touch the store run on each of them: `#[values(Sqlite, Postgres)] database: Database`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

impl TestStore {
    /// Returns an empty, migrated database on this engine.
    pub(crate) async fn new(database: Database) -> Self {
        match database {
            Database::Sqlite => Self::sqlite().await,
            Database::Postgres => Self::postgres().await,
        }
    }

    pub(crate) async fn sqlite() -> Self {
        let dir = folder();
        let store = connect::open_sqlite(dir.path()).await.expect("opens");
        connect::migrate(&store).await.expect("migrates");
        Self { store, dir, url: None }
    }

    pub(crate) async fn postgres() -> Self {
        let test = Self::empty_postgres().await;
        connect::migrate(&test.store).await.expect("migrates");
        test
    }

    /// The same database again, for another node.
    pub(crate) fn again(&self) -> Self {
        Self { store: self.store.clone(), dir: folder(), url: self.url.clone() }
    }

    /// A database without a schema.
    pub(crate) async fn empty_postgres() -> Self {
        let url = std::env::var("HOOKWRIGHT_TEST_POSTGRES")
            .expect("HOOKWRIGHT_TEST_POSTGRES is set by `cargo xtask test`, which starts a PostgreSQL");
        let admin = sea_orm::Database::connect(&url).await.expect("connects");
        let name = format!("t{}", new_uuid(Timestamp(0)).simple());
        admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a database");
        admin.close().await.expect("closes");
        let url = url.replacen("/postgres?", &format!("/{name}?"), 1);
        let store = connect::open_postgres(&url).await.expect("opens");
        Self { store, dir: folder(), url: Some(url) }
    }
}

/// A directory that only its owner can look into, as the server wants it.
pub(crate) fn folder() -> TempDir {
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    tempfile::Builder::new().permissions(private).tempdir().expect("a directory")
}

/// A clock that stands until it is moved.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    fn clock(&self) -> Clock {
        let now = self.0.clone();
        Clock::from_fn(move || Timestamp(now.load(Ordering::SeqCst)))
    }

    fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).expect("small"), Ordering::SeqCst);
    }
}

/// A console with its dispatcher, on a free port of this machine.
pub(crate) struct TestServer {
    pub(crate) url: String,
    pub(crate) services: Services,
    pub(crate) http: reqwest::Client,
    pub(crate) dir: TempDir,
    clock: TestClock,
    stop: CancellationToken,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's client is not the product's")]
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client")
}

impl TestServer {
    /// A server that may call this machine, where the receivers are.
    pub(crate) async fn start(test: TestStore) -> Self {
        Self::start_with(test, vec!["127.0.0.0/8".parse().expect("a network")]).await
    }

    /// A server that may call what is allowed by default and these networks.
    pub(crate) async fn start_with(test: TestStore, allowed: Vec<ipnet::IpNet>) -> Self {
        Self::start_under(test, Rules { allowed, ..Rules::default() }).await
    }

    /// A server under these egress rules, and the one about its own listener.
    pub(crate) async fn start_under(test: TestStore, rules: Rules) -> Self {
        Self::start_limited(test, rules, 8).await
    }

    /// A server with so many deliveries of one webhook in flight at most.
    pub(crate) async fn start_limited(test: TestStore, rules: Rules, per_webhook: usize) -> Self {
        Self::start_all(test, rules, per_webhook, Proxies::default(), None).await
    }

    /// A server behind proxies.
    pub(crate) async fn start_behind(test: TestStore, proxies: Proxies) -> Self {
        Self::start_all(test, Rules::default(), 8, proxies, None).await
    }

    /// A server that sends through a proxy.
    pub(crate) async fn start_through(test: TestStore, rules: Rules, egress: EgressProxy) -> Self {
        Self::start_all(test, rules, 8, Proxies::default(), Some(egress)).await
    }

    async fn start_all(
        test: TestStore,
        rules: Rules,
        per_webhook: usize,
        proxies: Proxies,
        egress: Option<EgressProxy>,
    ) -> Self {
        // The second of two tests in one process finds it installed.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let clock = TestClock(Arc::new(AtomicI64::new(BEGINNING)));
        let listeners = rules.listeners.iter().copied().chain([address]).collect();
        let rules = Rules { listeners, ..rules };
        let services = Services {
            store: test.store,
            vault: Arc::new(Vault::from_file_or_new(&test.dir.path().join("test.key")).expect("a key")),
            clock: clock.clock(),
            zone: jiff::tz::TimeZone::get("America/New_York").expect("a zone"),
            guard: Arc::new(Guard::new(rules, egress)),
            bell: Arc::default(),
            figures: Arc::default(),
            is_discreet: false,
        };
        let bell = services.bell.clone();
        let stop = CancellationToken::new();
        let intake = Intake::start(services.store.clone(), services.clock.clone(), services.zone.clone(), bell.clone());
        let http = Http {
            services: services.clone(),
            intake: intake.clone(),
            keys: Arc::default(),
            assets: app::shell::Assets::default(),
            sign_in_limit: Arc::default(),
            pulse: server::http::live::Pulse::new(stop.clone()),
            body_patience: Duration::from_millis(200),
            proxies: Arc::new(proxies),
            is_https: false,
        };
        let service = router(&http).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(http.pulse.clone().run(services.clone()));
        tokio::spawn(async move { axum::serve(listener, service).await });
        tokio::spawn(Dispatcher::new(services.clone(), per_webhook).run(stop.clone()));
        tokio::spawn(intake.run_inside(services.store.clone(), stop.clone()));
        Self { url: format!("http://{address}"), services, http: client(), dir: test.dir, clock, stop }
    }

    /// Another dispatcher on the same database, as another node has one.
    pub(crate) fn start_second_dispatcher(&self, per_webhook: usize) {
        let services = Services { bell: Arc::default(), ..self.services.clone() };
        tokio::spawn(Dispatcher::new(services, per_webhook).run(self.stop.clone()));
    }

    /// What time it is.
    pub(crate) fn now(&self) -> Timestamp {
        self.services.clock.now()
    }

    /// Moves the clock, and has the dispatcher look.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.services.bell.notify_one();
    }

    /// A key with these scopes.
    pub(crate) async fn key(&self, name: &str, scopes: &[model::access::Scope]) -> String {
        account::add_key(&self.services.store, &self.services.clock, name, scopes).await.expect("a key")
    }

    /// Posts occurrences with a key that may.
    pub(crate) async fn post(&self, key: &str, document: &serde_json::Value) -> (u16, serde_json::Value) {
        let answer = self
            .http
            .post(format!("{}/api/v1/events", self.url))
            .bearer_auth(key)
            .header("content-type", "application/json")
            .body(document.to_string())
            .send()
            .await
            .expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// Makes an account and signs in: the session's cookie.
    pub(crate) async fn sign_in(&self, name: &str, role: model::access::Role) -> String {
        let password: SecretString = PASSWORD.to_owned().into();
        account::add(&self.services.store, &self.services.clock, name, role, password).await.expect("an account");
        let form = [("name", name), ("password", PASSWORD)];
        let answer = self.post_form("/sign-in", "", &form).await;
        assert_eq!(answer.status(), 303);
        let cookie = answer.headers()["set-cookie"].to_str().expect("text").to_owned();
        cookie.split(';').next().expect("a pair").to_owned()
    }

    /// Posts a form as a browser without WASM does.
    pub(crate) async fn post_form(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> reqwest::Response {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.http
            .post(format!("{}{path}", self.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("cookie", cookie)
            .header("sec-fetch-site", "same-origin")
            .body(body)
            .send()
            .await
            .expect("an answer")
    }

    /// A webhook to this URL, with a change to its draft.
    pub(crate) async fn webhook(&self, name: &str, url: &str, change: impl FnOnce(&mut WebhookDraft)) -> WebhookId {
        let mut draft = WebhookDraft { name: name.into(), url: url.into(), ..WebhookDraft::default() };
        change(&mut draft);
        self.services.backend().webhooks.save(None, draft).await.expect("a webhook").id
    }

    /// A task that sends `message` through the webhook.
    pub(crate) async fn task(&self, name: &str, webhook: WebhookId, message: &str, is_one_time: bool) -> TaskId {
        let draft = model::task::TaskDraft {
            name: name.into(),
            webhook: webhook.to_string(),
            message: message.into(),
            delete_after_running: if is_one_time { "true".into() } else { String::new() },
            ..model::task::TaskDraft::new_form()
        };
        self.services.backend().tasks.save(None, draft).await.expect("a task")
    }

    /// An event for any VM that is powered on.
    pub(crate) async fn event(&self, task: TaskId) -> EventId {
        self.event_of(task, |_| ()).await
    }

    /// An event about what `change` says.
    pub(crate) async fn event_of(&self, task: TaskId, change: impl FnOnce(&mut model::event::EventDraft)) -> EventId {
        let mut draft = model::event::EventDraft {
            event: "vms.poweron".into(),
            task: task.to_string(),
            ..model::event::EventDraft::new_form()
        };
        change(&mut draft);
        self.services.backend().events.save(None, draft).await.expect("an event")
    }

    /// Asks the API, with a key.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        key: &str,
        body: Option<&serde_json::Value>,
    ) -> (u16, serde_json::Value) {
        let method = method.parse().expect("a method");
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(key);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.expect("a body")).unwrap_or_default())
    }

    /// A tag of a new category that virtual machines may carry.
    pub(crate) async fn tag(&self, category: &str, name: &str) -> String {
        let mut draft = model::tag::CategoryDraft { name: category.into(), ..model::tag::CategoryDraft::default() };
        draft.types.insert("type.vms".into(), "true".into());
        let inventory = self.services.backend().inventory;
        let id = inventory.save_category(None, draft).await.expect("a category");
        let draft = model::tag::TagDraft { name: name.into(), category: id.to_string() };
        inventory.add_tag(draft).await.expect("a tag").to_string()
    }

    /// Waits until the deliveries, newest first, satisfy the condition.
    pub(crate) async fn deliveries_until(&self, is_enough: impl Fn(&[DeliveryRow]) -> bool) -> Vec<DeliveryRow> {
        let mut last = Vec::new();
        for _ in 0..400 {
            last = self.services.backend().deliveries.list_newest().await.expect("deliveries");
            if is_enough(&last) {
                return last;
            }
            pause().await;
        }
        panic!("the deliveries stayed {last:?}");
    }
}

/// The one place where tests wait: between two looks at a condition.
pub(crate) async fn pause() {
    tokio::time::sleep(Duration::from_millis(25)).await;
}

/// A receiver, and what it has received.
pub(crate) struct TestInbox {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl TestInbox {
    pub(crate) async fn start() -> Self {
        Self::start_on("127.0.0.1").await
    }

    /// A receiver on an address of this machine; `[::]` is all of them.
    pub(crate) async fn start_on(host: &str) -> Self {
        let listener = TcpListener::bind(format!("{host}:0")).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let sink = received.clone();
        let keep: inbox::Sink = Arc::new(move |one| {
            sink.lock().expect("no panic").push(one);
            Box::pin(std::future::ready(()))
        });
        tokio::spawn(inbox::serve(listener, Clock::system(), keep));
        Self { url, received }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no panic").clone()
    }
}

/// A receiver that answers 200 or, while it is told to, 500.
pub(crate) struct Switch {
    pub(crate) url: String,
    is_failing: Arc<std::sync::atomic::AtomicBool>,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Switch {
    /// A receiver that fails at first.
    pub(crate) async fn failing() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let switch = Self { url, is_failing: Arc::new(true.into()), bodies: Arc::default() };
        let (is_failing, bodies) = (switch.is_failing.clone(), switch.bodies.clone());
        let answer = move |body: String| {
            bodies.lock().expect("no panic").push(body);
            let is_failing = is_failing.load(Ordering::SeqCst);
            async move {
                if is_failing { axum::http::StatusCode::INTERNAL_SERVER_ERROR } else { axum::http::StatusCode::OK }
            }
        };
        let router = axum::Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        switch
    }

    pub(crate) fn recover(&self) {
        self.is_failing.store(false, Ordering::SeqCst);
    }

    /// What has arrived, in order.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.bodies.lock().expect("no panic").clone()
    }
}

/// A receiver that answers nothing until it is told to, and counts what waits at each path.
pub(crate) struct Gate {
    pub(crate) url: String,
    answers: Arc<Semaphore>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    waiting: BTreeMap<String, usize>,
    most: BTreeMap<String, usize>,
    bodies: Vec<String>,
}

/// One request that waits; also its end when the client hangs up.
struct Waiting(Arc<Mutex<Seen>>, String);

impl Waiting {
    fn at(seen: Arc<Mutex<Seen>>, path: String, body: String) -> Self {
        let mut counts = seen.lock().expect("no panic");
        counts.bodies.push(body);
        let waiting = counts.waiting.entry(path.clone()).or_default();
        *waiting += 1;
        let now = *waiting;
        let most = counts.most.entry(path.clone()).or_default();
        *most = now.max(*most);
        drop(counts);
        Self(seen, path)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        *self.0.lock().expect("no panic").waiting.entry(self.1.clone()).or_default() -= 1;
    }
}

impl Gate {
    /// A receiver that is closed at first, but for the path `/open`.
    pub(crate) async fn closed() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let gate = Self { url, answers: Arc::new(Semaphore::new(0)), seen: Arc::default() };
        let (answers, seen) = (gate.answers.clone(), gate.seen.clone());
        let answer = move |uri: axum::http::Uri, body: String| {
            let waiting = Waiting::at(seen.clone(), uri.path().to_owned(), body);
            let answers = answers.clone();
            async move {
                let pass =
                    if waiting.1 == "/open" { Ok(()) } else { answers.acquire().await.map(SemaphorePermit::forget) };
                drop(waiting);
                if pass.is_ok() { axum::http::StatusCode::OK } else { axum::http::StatusCode::INTERNAL_SERVER_ERROR }
            }
        };
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
        gate
    }

    /// Has so many requests answered, of those that wait or come.
    pub(crate) fn answer(&self, count: usize) {
        self.answers.add_permits(count);
    }

    /// Closes for good: what waits or comes is answered 500.
    pub(crate) fn hang_up(&self) {
        self.answers.close();
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.seen.lock().expect("no panic").waiting.values().sum()
    }

    /// The most that waited at one path at once.
    pub(crate) fn most(&self) -> usize {
        self.seen.lock().expect("no panic").most.values().copied().max().unwrap_or_default()
    }

    /// What has come, in order.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").bodies.clone()
    }
}

/// Waits for a condition.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..1200 {
        if is_so().await {
            return;
        }
        pause().await;
    }
    panic!("it never came to this: {what}");
}

/// A transaction that a test holds for as long as it takes: the server's own end where nothing comes for ten seconds.
pub(crate) async fn begin_holding(store: &Store) -> DatabaseTransaction {
    let txn = store.begin().await.expect("a transaction");
    if store.is_postgres() {
        txn.execute_unprepared("SET LOCAL idle_in_transaction_session_timeout = 0").await.expect("set");
    }
    txn
}

/// Waits until somebody waits for a lock in this PostgreSQL database.
pub(crate) async fn somebody_waits(store: &Store) {
    eventually("somebody waits for a lock", async || {
        let sql = "SELECT COUNT(*) AS waiting FROM pg_stat_activity WHERE datname = current_database() \
                   AND wait_event_type = 'Lock'";
        let row = store.read().query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
        row.expect("asked").expect("a row").try_get::<i64>("", "waiting").expect("a number") > 0
    })
    .await;
}
