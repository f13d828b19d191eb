//! A server in the test's process, on a free port, with a clock that the test moves.

use super::{TestStore, pause};
use app::view::delivery::DeliveryLine;
use jiff::tz::TimeZone;
use model::egress::Rules;
use model::id::{EventId, TaskId, WebhookId};
use model::time::Timestamp;
use model::webhook::WebhookDraft;
use secrecy::SecretString;
use server::clock::{Clock, Zone};
use server::dispatch::Dispatcher;
use server::engine::lane::Lanes;
use server::http::proxy::Proxies;
use server::http::{Http, Shared, router};
use server::intake::Intake;
use server::outbound::guard::Guard;
use server::outbound::proxy::EgressProxy;
use server::service::{Services, account};
use server::vault::Vault;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Password of every account that tests make.
pub(crate) const PASSWORD: &str = "correct horse battery";
/// Time at which every test begins: 2025-10-16T15:38:07Z.
const BEGINNING: i64 = 1_760_629_087_000;

/// A clock that stands still until the test moves it.
#[derive(Clone)]
struct TestClock(Arc<AtomicI64>);

impl TestClock {
    fn clock(&self) -> Clock {
        let now = self.0.clone();
        Clock::from_fn(move || Timestamp(now.load(Ordering::SeqCst)))
    }

    fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).expect("small"), Ordering::SeqCst);
    }

    fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

/// A server with intake and dispatcher, on a free port of the loopback address. Dropping it stops the dispatcher.
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
    /// Starts a server that may call loopback addresses, where the receivers listen.
    pub(crate) async fn start(test: TestStore) -> Self {
        Self::start_with(test, vec!["127.0.0.0/8".parse().expect("a network")]).await
    }

    /// Starts a server that may call these networks besides the addresses that are allowed by default.
    pub(crate) async fn start_with(test: TestStore, allowed: Vec<ipnet::IpNet>) -> Self {
        Self::start_under(test, Rules { allowed, ..Rules::default() }).await
    }

    /// Starts a server with these egress rules. The rule about its own listener is added.
    pub(crate) async fn start_under(test: TestStore, rules: Rules) -> Self {
        Self::start_limited(test, rules, 8).await
    }

    /// Starts a server with at most `per_webhook` deliveries of one webhook in flight.
    pub(crate) async fn start_limited(test: TestStore, rules: Rules, per_webhook: usize) -> Self {
        Self::start_all(test, rules, per_webhook, Proxies::default(), None).await
    }

    /// Starts a server behind reverse proxies.
    pub(crate) async fn start_behind(test: TestStore, proxies: Proxies) -> Self {
        Self::start_all(test, Rules::default(), 8, proxies, None).await
    }

    /// Starts a server that sends through an egress proxy.
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
        // Fails for the second test of a process, where the provider is already installed.
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
            zone: Zone::new(TimeZone::get("America/New_York").expect("a zone")),
            guard: Arc::new(Guard::new(rules, egress)),
            wake: Arc::default(),
            lanes: Lanes::default(),
            figures: Arc::default(),
            is_discreet: false,
        };
        let wake = services.wake.clone();
        let stop = CancellationToken::new();
        let intake = Intake::start(
            services.store.clone(),
            services.clock.clone(),
            services.zone.clone(),
            wake.clone(),
            services.lanes.clone(),
        );
        let http = Http::from(Shared {
            services: services.clone(),
            intake: intake.clone(),
            keys: Arc::default(),
            assets: app::shell::Assets::default(),
            sign_in_limit: Arc::default(),
            changes: server::http::live::ChangeFeed::new(stop.clone()),
            body_patience: Duration::from_millis(200),
            proxies: Arc::new(proxies),
            is_https: false,
        });
        let service = router(&http).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(http.changes.clone().run(services.clone()));
        tokio::spawn(async move { axum::serve(listener, service).await });
        tokio::spawn(dispatcher(&services, per_webhook).run(stop.clone()));
        tokio::spawn(intake.run_internal(services.store.clone(), stop.clone()));
        Self { url: format!("http://{address}"), services, http: client(), dir: test.dir, clock, stop }
    }

    /// Starts another dispatcher on the same database, as another node would.
    pub(crate) fn start_second_dispatcher(&self, per_webhook: usize) {
        let services = Services { wake: Arc::default(), lanes: Lanes::default(), ..self.services.clone() };
        tokio::spawn(dispatcher(&services, per_webhook).run(self.stop.clone()));
    }

    /// Returns the time of the test's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.services.clock.now()
    }

    /// Moves the clock forward and wakes the dispatcher.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.services.wake.notify_one();
    }

    /// Sets the clock, forward or back, and wakes the dispatcher.
    pub(crate) fn set_clock(&self, now: Timestamp) {
        self.clock.set(now);
        self.services.wake.notify_one();
    }

    /// Makes an API key with these scopes.
    pub(crate) async fn key(&self, name: &str, scopes: &[model::access::Scope]) -> String {
        account::add_key(&self.services.store, &self.services.clock, name, scopes).await.expect("a key")
    }

    /// Posts occurrences to the API. Returns the status and the JSON of the response.
    pub(crate) async fn post(&self, key: &str, document: &serde_json::Value) -> (u16, serde_json::Value) {
        let response = self
            .http
            .post(format!("{}/api/v1/events", self.url))
            .bearer_auth(key)
            .header("content-type", "application/json")
            .body(document.to_string())
            .send()
            .await
            .expect("a response");
        let status = response.status().as_u16();
        let text = response.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// Makes an account and signs in. Returns the cookie of the session.
    pub(crate) async fn sign_in(&self, name: &str, role: model::access::Role) -> String {
        let password: SecretString = PASSWORD.to_owned().into();
        account::add(&self.services.store, &self.services.clock, name, role, password).await.expect("an account");
        let form = [("name", name), ("password", PASSWORD)];
        let response = self.post_form("/sign-in", "", &form).await;
        assert_eq!(response.status(), 303);
        let cookie = response.headers()["set-cookie"].to_str().expect("text").to_owned();
        cookie.split(';').next().expect("a pair").to_owned()
    }

    /// Posts a form as a browser does without WASM.
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
            .expect("a response")
    }

    /// Saves a webhook with this URL, after `change` has edited its draft.
    pub(crate) async fn webhook(&self, name: &str, url: &str, change: impl FnOnce(&mut WebhookDraft)) -> WebhookId {
        let mut draft = WebhookDraft { name: name.into(), url: url.into(), ..WebhookDraft::default() };
        change(&mut draft);
        self.services.backend().webhooks.save(None, draft).await.expect("a webhook").id
    }

    /// Saves a task that sends `message` through the webhook.
    pub(crate) async fn task(&self, name: &str, webhook: WebhookId, message: &str, is_one_time: bool) -> TaskId {
        let draft = model::task::TaskDraft {
            name: name.into(),
            object: webhook.to_string(),
            message: message.into(),
            delete_after_running: if is_one_time { "true".into() } else { String::new() },
            ..model::task::TaskDraft::new_form()
        };
        self.services.backend().tasks.save(None, draft).await.expect("a task")
    }

    /// Saves an event that fires for each VM that is powered on.
    pub(crate) async fn event(&self, task: TaskId) -> EventId {
        self.event_of(task, |_| ()).await
    }

    /// Saves an event, after `change` has edited its draft.
    pub(crate) async fn event_of(&self, task: TaskId, change: impl FnOnce(&mut model::event::EventDraft)) -> EventId {
        let mut draft = model::event::EventDraft {
            event: "vms.poweron".into(),
            task: task.to_string(),
            ..model::event::EventDraft::new_form()
        };
        change(&mut draft);
        self.services.backend().events.save(None, draft).await.expect("an event")
    }

    /// Calls the API with a key. Returns the status and the JSON of the response.
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
        let response = request.send().await.expect("a response");
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.expect("a body")).unwrap_or_default())
    }

    /// Makes a tag in a new category for virtual machines. Returns the id of the tag.
    pub(crate) async fn tag(&self, category: &str, name: &str) -> String {
        let mut draft = model::tag::CategoryDraft { name: category.into(), ..model::tag::CategoryDraft::default() };
        draft.types.insert("type.vms".into(), "true".into());
        let inventory = self.services.backend().inventory;
        let id = inventory.save_category(None, draft).await.expect("a category");
        let draft = model::tag::TagDraft { name: name.into(), category: id.to_string() };
        inventory.add_tag(draft).await.expect("a tag").to_string()
    }

    /// Waits until the deliveries, newest first, satisfy the condition. Returns them.
    pub(crate) async fn deliveries_until(&self, is_enough: impl Fn(&[DeliveryLine]) -> bool) -> Vec<DeliveryLine> {
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

/// Returns a dispatcher of these services.
fn dispatcher(services: &Services, per_webhook: usize) -> Dispatcher {
    let Services { store, vault, clock, guard, wake, lanes, .. } = services.clone();
    Dispatcher::new(store, vault, clock, guard, wake, lanes, per_webhook)
}
