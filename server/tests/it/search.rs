//! Lists of large tables: a search without an index reads a part of the table, whatever the size of the history.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::TestStore;
use crate::rows;
use app::view::{COUNTED, SEARCHED};
use model::delivery::Status;
use model::id::{DestinationId, TagId, TaskId};
use model::tag::{Category, Tag};
use model::time::Timestamp;
use rstest::rstest;
use sea_orm::{ConnectionTrait, DatabaseTransaction, Statement};
use server::store::delivery::ListRow;
use server::store::search::{self, Filter, Page, Part, RunFilter, Sort, Sorting};
use server::store::{object, tag};

/// The number of deliveries. Their ids begin at 1, and one is made each second.
const MANY: i64 = 50_000;
const FIRST: Part = Part { offset: 0, limit: 50 };
const NEWEST_FIRST: Sorting = Sorting { by: Sort::Time, is_descending: true };

/// The body of a recursive table with the integers from 1.
pub(crate) fn numbers(last: i64) -> String {
    format!("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {last})")
}

/// Adds runs with their deliveries. The objects `old` and `new` have one each; every tenth has failed, and the first was
/// discarded.
async fn fill(test: &TestStore) {
    let db = test.store.write();
    let webhook = rows::webhook(db, "w", "http://127.0.0.1:9/").await;
    let uuid = if test.store.is_postgres() { "gen_random_uuid()" } else { "randomblob(16)" };
    let numbers = numbers(MANY);
    let name = format!("CASE i WHEN 10 THEN 'old' WHEN {MANY} - 10 THEN 'new' ELSE 'common' END");
    for sql in [
        format!(
            "INSERT INTO run (id, task_name, cause, event_ids, status, started_at) {numbers} SELECT i, {name}, \
             'occurrence', '', CASE WHEN i = 10 THEN 'running' ELSE 'succeeded' END, i * 1000 FROM n"
        ),
        format!(
            "INSERT INTO delivery (id, uuid, destination_id, status, attempts, created_at, settled_at, type_id, \
             event_id, destination_name, task_name, object_name, body) {numbers} SELECT i, {uuid}, {webhook}, CASE \
             WHEN i = 1 THEN 'discarded' WHEN i % 10 = 0 THEN 'error' ELSE 'sent' END, i % 7, i * 1000, i * 1000, \
             'vms', 'poweron', 'w', 't', {name}, '' FROM n"
        ),
    ] {
        db.execute_unprepared(&sql).await.expect("filled");
    }
    if test.store.is_postgres() {
        db.execute_unprepared("VACUUM ANALYZE delivery, run").await.expect("analysed");
    }
}

/// Returns the number of rows of a table that this transaction has read. SQLite does not count them.
async fn rows_read(txn: &DatabaseTransaction, table: &str) -> i64 {
    let sql = format!(
        "SELECT CAST(COALESCE(SUM(pg_stat_get_xact_tuples_returned(i.indexrelid)), 0) AS BIGINT) \
         + pg_stat_get_xact_tuples_returned('{table}'::regclass) AS read FROM pg_index i \
         WHERE i.indrelid = '{table}'::regclass"
    );
    let row = txn.query_one_raw(Statement::from_string(txn.get_database_backend(), sql)).await.expect("counted");
    row.expect("one row").try_get("", "read").expect("a number")
}

/// Runs a query, and checks how many rows of a table it has read on PostgreSQL.
pub(crate) async fn reading<T>(
    test: &TestStore,
    table: &str,
    most: u64,
    work: impl AsyncFnOnce(&DatabaseTransaction) -> T,
) -> T {
    let txn = test.store.begin().await.expect("a transaction");
    if !test.store.is_postgres() {
        return work(&txn).await;
    }
    // PostgreSQL uses such a plan after some calls.
    txn.execute_unprepared("SET LOCAL plan_cache_mode = force_generic_plan").await.expect("set");
    // PostgreSQL adds the rows that earlier transactions of the session have read, as far as it has not published them
    // yet.
    let before = rows_read(&txn, table).await;
    let result = work(&txn).await;
    let read = rows_read(&txn, table).await - before;
    assert!(read <= i64::try_from(most).expect("small"), "{read} rows were read");
    result
}

async fn find(test: &TestStore, filter: Filter, sorting: Sorting, most: u64) -> Page<ListRow> {
    let work = async |txn: &DatabaseTransaction| search::deliveries(txn, &filter, sorting, FIRST).await;
    reading(test, "delivery", most, work).await.expect("found")
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn search_looks_at_the_newest_and_goes_on_when_it_is_asked_to(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    fill(&test).await;
    // The window, and the rows of the page.
    let once = SEARCHED + 100;
    let named = |name: &str| Filter { object: Some(name.into()), ..Filter::default() };
    let edge = MANY - i64::try_from(SEARCHED).expect("small");
    // The rows beyond the window.
    let all = MANY.unsigned_abs() + 100;
    let page = find(&test, named("NEW"), NEWEST_FIRST, once).await;
    assert_eq!((page.rows.len(), page.total, page.further), (1, 1, Some(edge)));
    let page = find(&test, named("old"), NEWEST_FIRST, once).await;
    assert_eq!((page.rows.len(), page.total, page.further), (0, 0, Some(edge)));
    let rest = Filter { beyond: page.further, ..named("old") };
    let page = find(&test, rest, NEWEST_FIRST, all).await;
    assert_eq!((page.rows.len(), page.total, page.further), (1, 1, None));
    let rising = Sorting { by: Sort::Time, is_descending: false };
    let page = find(&test, named("old"), rising, once).await;
    assert_eq!((page.total, page.further), (1, Some(edge.min(i64::try_from(SEARCHED).expect("small") + 1))));
    let page = find(&test, Filter { beyond: page.further, ..named("new") }, rising, all).await;
    assert_eq!((page.total, page.further), (1, None));
    // All rows but one have this name.
    let page = find(&test, named("common"), NEWEST_FIRST, once).await;
    assert_eq!((page.rows.len(), page.total), (50, SEARCHED - 1));
    let discarded = Filter { status: Some(Status::Discarded), ..Filter::default() };
    assert_eq!(find(&test, discarded, NEWEST_FIRST, once).await.further, Some(edge));
    let failed = Filter { status: Some(Status::Error), ..named("old") };
    assert_eq!(find(&test, failed, NEWEST_FIRST, once).await.total, 0);
    let by_attempts = Sorting { by: Sort::Attempts, is_descending: true };
    let page = find(&test, named("common"), by_attempts, 2 * once).await;
    assert!(page.rows.iter().all(|row| row.attempts == 6), "{:?}", page.rows);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_without_a_search_has_no_window(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    fill(&test).await;
    let page = find(&test, Filter::default(), NEWEST_FIRST, COUNTED + 100).await;
    assert_eq!((page.rows.len(), page.total, page.further), (50, COUNTED + 1, None));
    let failed = Filter { status: Some(Status::Error), ..Filter::default() };
    let page = find(&test, failed, NEWEST_FIRST, COUNTED + 100).await;
    assert_eq!((page.total, page.further), (5000, None));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_of_what_waits_reads_no_more_than_it_counts(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(Status::Queued, Status::Held)] status: Status,
) {
    let test = TestStore::new(database).await;
    fill(&test).await;
    let queue = async |last: u64| {
        let reason = if status == Status::Held { "'paused'" } else { "NULL" };
        let sql = format!(
            "UPDATE delivery SET status = '{}', hold_reason = {reason}, settled_at = NULL WHERE id <= {last}",
            status.as_str()
        );
        test.store.write().execute_unprepared(&sql).await.expect("queued");
        if test.store.is_postgres() {
            test.store.write().execute_unprepared("VACUUM ANALYZE delivery").await.expect("analysed");
        }
    };
    let waiting = Filter { status: Some(status), ..Filter::default() };
    queue(COUNTED).await;
    // The length of the queue, its rows, and their number.
    let page = find(&test, waiting.clone(), NEWEST_FIRST, 3 * COUNTED + 100).await;
    assert_eq!((page.rows.len(), page.total, page.further), (50, COUNTED, None));
    queue(2 * COUNTED).await;
    let page = find(&test, waiting.clone(), NEWEST_FIRST, COUNTED + 200).await;
    assert_eq!((page.rows.len(), page.total, page.further), (50, COUNTED + 1, None), "none of the newest waits");
    assert_eq!(page.rows[0].created_at, Timestamp(i64::try_from(2 * COUNTED * 1000).expect("small")));
    // With a text, the newest of all deliveries are searched.
    let edge = MANY - i64::try_from(SEARCHED).expect("small");
    let named = Filter { object: Some("common".into()), ..waiting };
    let page = find(&test, named, NEWEST_FIRST, COUNTED + SEARCHED + 100).await;
    assert_eq!((page.total, page.further), (0, Some(edge)));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_in_another_order_than_by_time_is_a_search(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    fill(&test).await;
    let edge = MANY - i64::try_from(SEARCHED).expect("small");
    for by in [Sort::Attempts, Sort::Duration] {
        let sorting = Sorting { by, is_descending: true };
        // The rows are read once for the order and once for the number.
        let page = find(&test, Filter::default(), sorting, 2 * SEARCHED + 100).await;
        assert_eq!((page.rows.len(), page.total, page.further), (50, SEARCHED, Some(edge)));
        assert!(page.rows.iter().all(|row| row.created_at.0 / 1000 > edge), "{:?}", page.rows);
        let rest = Filter { beyond: page.further, ..Filter::default() };
        let page = find(&test, rest, sorting, 2 * MANY.unsigned_abs() + 100).await;
        assert_eq!((page.rows.len(), page.total, page.further), (50, COUNTED + 1, None));
        assert!(page.rows.iter().all(|row| row.created_at.0 / 1000 <= edge), "{:?}", page.rows);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_since_an_instant_are_found_by_their_ids(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    fill(&test).await;
    for (sorting, first) in [(NEWEST_FIRST, MANY), (Sorting { is_descending: false, ..NEWEST_FIRST }, MANY - 299)] {
        let since = |status| Filter { since: Some(Timestamp((MANY - 299) * 1000)), status, ..Filter::default() };
        // The search also reads some rows before the instant, since two nodes may have made them in another order.
        let page = find(&test, since(None), sorting, 3000).await;
        assert_eq!((page.rows[0].created_at.0 / 1000, page.total, page.further), (first, 300, None));
        assert_eq!(find(&test, since(Some(Status::Error)), sorting, 3000).await.total, 30);
        let rare = Filter { object: Some("old".into()), ..since(None) };
        let page = find(&test, rare, sorting, 5000).await;
        assert_eq!((page.total, page.further), (0, None), "nothing older is since then");
    }
    let future = Filter { since: Some(Timestamp(MANY * 1000 + 1)), ..Filter::default() };
    assert_eq!(find(&test, future, NEWEST_FIRST, 3000).await.total, 0);
    let all = Filter { since: Some(Timestamp(0)), ..Filter::default() };
    assert_eq!(find(&test, all, NEWEST_FIRST, COUNTED + 100).await.total, COUNTED + 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_are_searched_in_the_same_way(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    fill(&test).await;
    for filter in [
        RunFilter { name: Some("OLD".into()), ..RunFilter::default() },
        RunFilter { status: Some("running".into()), ..RunFilter::default() },
    ] {
        let find = async |filter: RunFilter, most: u64| {
            let work = async |txn: &DatabaseTransaction| search::runs(txn, &filter, FIRST).await;
            reading(&test, "run", most, work).await.expect("found")
        };
        let page = find(filter.clone(), 2 * SEARCHED + 100).await;
        assert_eq!((page.total, page.further.is_some()), (0, true));
        let page = find(RunFilter { beyond: page.further, ..filter }, MANY.unsigned_abs() + 100).await;
        assert_eq!((page.total, page.further), (1, None));
    }
}

/// Moves the first hundred deliveries to another destination, and the first hundred runs to another task.
async fn split(test: &TestStore) -> (Filter, RunFilter) {
    let db = test.store.write();
    let other = rows::webhook(db, "other", "http://127.0.0.1:9/").await;
    for sql in [
        &format!("UPDATE delivery SET destination_id = {other} WHERE id <= 100"),
        "UPDATE run SET task_id = CASE WHEN id <= 100 THEN 2 ELSE 1 END",
    ] {
        db.execute_unprepared(sql).await.expect("moved");
    }
    if test.store.is_postgres() {
        db.execute_unprepared("VACUUM ANALYZE delivery, run").await.expect("analysed");
    }
    let of = Filter { destination_id: Some(DestinationId(other.0)), ..Filter::default() };
    (of, RunFilter { task_id: Some(TaskId(2)), ..RunFilter::default() })
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_of_a_destination_that_sent_long_ago_reads_no_other_deliveries(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let test = TestStore::new(database).await;
    fill(&test).await;
    let (of, _) = split(&test).await;
    let rising = Sorting { is_descending: false, ..NEWEST_FIRST };
    let page = find(&test, of.clone(), NEWEST_FIRST, 400).await;
    assert_eq!((page.rows[0].created_at.0, page.rows.len(), page.total, page.further), (100_000, 50, 100, None));
    let page = find(&test, of.clone(), rising, 400).await;
    assert_eq!((page.rows[0].created_at.0, page.total), (1000, 100));
    let since = Filter { since: Some(Timestamp(91_000)), ..of.clone() };
    assert_eq!(find(&test, since.clone(), NEWEST_FIRST, 3000).await.total, 10);
    let failed = Filter { status: Some(Status::Error), ..since };
    assert_eq!(find(&test, failed, NEWEST_FIRST, 3000).await.total, 1);
    for (filter, total) in [
        (Filter { status: Some(Status::Error), ..of.clone() }, 10),
        (Filter { status: Some(Status::Held), ..of.clone() }, 0),
        (Filter { object: Some("old".into()), ..of.clone() }, 1),
        (Filter { destination_id: Some(DestinationId(9)), ..of.clone() }, 0),
        (Filter { destination_id: Some(DestinationId(9)), status: Some(Status::Error), ..of.clone() }, 0),
    ] {
        for sorting in [NEWEST_FIRST, rising, Sorting { by: Sort::Attempts, is_descending: true }] {
            // In rising order the window has deliveries of others, too: either index may be read.
            let page = find(&test, filter.clone(), sorting, SEARCHED + 200).await;
            assert_eq!((page.total, page.further), (total, None), "{filter:?} {sorting:?}");
        }
    }
    // The busy destination is searched in parts, as all deliveries are.
    let busy = Filter { destination_id: Some(DestinationId(1)), object: Some("old".into()), ..Filter::default() };
    let page = find(&test, busy.clone(), NEWEST_FIRST, SEARCHED + 100).await;
    assert_eq!((page.total, page.further), (0, Some(MANY - i64::try_from(SEARCHED).expect("small"))));
    let page = find(&test, Filter { beyond: page.further, ..busy }, NEWEST_FIRST, MANY.unsigned_abs() + 100).await;
    assert_eq!((page.total, page.further), (0, None), "another destination has it");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_of_a_task_that_ran_long_ago_reads_no_other_runs(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    fill(&test).await;
    let (_, of) = split(&test).await;
    for (filter, total) in [
        (of.clone(), 100),
        (RunFilter { status: Some("running".into()), ..of.clone() }, 1),
        (RunFilter { name: Some("common".into()), ..of.clone() }, 99),
        (RunFilter { task_id: Some(TaskId(9)), status: Some("running".into()), ..of.clone() }, 0),
    ] {
        let work = async |txn: &DatabaseTransaction| search::runs(txn, &filter, FIRST).await;
        let page = reading(&test, "run", 400, work).await.expect("found");
        assert_eq!((page.total, page.further), (total, None), "{filter:?}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_of_objects_finds_those_beyond_the_ten_thousand_that_it_sorts(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let test = TestStore::new(database).await;
    let db = test.store.write();
    let objects = format!(
        "INSERT INTO object (id, type_id, external_id, name, created_at, updated_at) {} SELECT i, CASE WHEN i > 29000 \
         THEN 'vms' ELSE 'alarms' END, 'id-' || CAST(i AS TEXT), 'Web-' || CAST(i AS TEXT), 0, 0 FROM n",
        numbers(30_000)
    );
    db.execute_unprepared(&objects).await.expect("filled");
    let category =
        Category { name: "c".into(), description: String::new(), is_single: false, type_ids: vec!["vms".into()] };
    let category_id = tag::insert_category(db, &category, Timestamp(0)).await.expect("a category");
    let mut tags = Vec::new();
    for name in ["many", "few", "none"] {
        tags.push(tag::insert(db, &Tag { name: name.into(), category_id }, Timestamp(0)).await.expect("a tag"));
    }
    let tagged = format!(
        "INSERT INTO object_tag (object_id, tag_id) SELECT id, {} FROM object UNION ALL SELECT id, {} FROM object \
         WHERE id > 29995",
        tags[0], tags[1]
    );
    db.execute_unprepared(&tagged).await.expect("tagged");
    if test.store.is_postgres() {
        db.execute_unprepared("VACUUM ANALYZE object, object_tag").await.expect("analysed");
    }
    let list = async |filter: object::Filter, sort: object::Sort, is_descending: bool, most: u64| {
        let work = async |txn: &DatabaseTransaction| object::list(txn, &filter, &sort, is_descending, FIRST).await;
        let page = reading(&test, "object", most, work).await.expect("listed");
        (page.rows.into_iter().map(|row| row.name).collect::<Vec<_>>(), page.total)
    };
    let some = |text: &str| Some(text.to_owned());
    let all = object::Filter::default;
    let twice = 2 * COUNTED + 100;
    let (names, total) = list(all(), object::Sort::Name, false, twice).await;
    assert_eq!((names.len(), names[0].as_str(), total), (50, "Web-1", COUNTED + 1));
    let (names, total) =
        list(object::Filter { name: some("wEB-29999"), ..all() }, object::Sort::Name, false, 60_100).await;
    assert_eq!((names, total), (vec!["Web-29999".to_owned()], 1));
    let vms = || object::Filter { type_ids: Some(vec!["vms".into()]), ..all() };
    let (names, total) = list(vms(), object::Sort::ExternalId, true, 2100).await;
    assert_eq!((names[0].as_str(), total), ("Web-30000", 1000));
    let (names, _) = list(all(), object::Sort::Type(vec!["vms".into(), "alarms".into()]), false, twice).await;
    assert_eq!(names.len(), 50);
    let few = object::Filter { tag_ids: Some(vec![tags[1]]), ..all() };
    assert_eq!(list(few, object::Sort::Tags, true, 60_100).await.1, 5);
    let none = object::Filter { tag_ids: Some(Vec::new()), ..all() };
    assert_eq!(list(none, object::Sort::Name, false, 100).await.1, 0);
    let other = object::Filter { external_id: some("ID-7"), name: some("ü"), ..all() };
    assert_eq!(list(other, object::Sort::Name, false, 30_100).await.1, 0);
    db.execute_unprepared("UPDATE object SET name = 'Müller-7' WHERE id = 29000").await.expect("renamed");
    for text in ["MÜLLER", "ller-7"] {
        let found = list(object::Filter { name: some(text), ..all() }, object::Sort::Name, false, 60_100).await;
        assert_eq!(found, (vec!["Müller-7".to_owned()], 1), "{text}");
    }

    let types = async |txn: &DatabaseTransaction| object::list_types(txn).await;
    assert_eq!(reading(&test, "object", 10, types).await.expect("listed"), ["alarms", "vms"]);
    let counts = async |txn: &DatabaseTransaction| tag::counts(txn).await;
    let counts = reading(&test, "object_tag", 2100, counts).await.expect("counted");
    let of = |id: &TagId| counts[id];
    assert_eq!(tags.iter().map(of).collect::<Vec<_>>(), [1001, 5, 0]);
}
