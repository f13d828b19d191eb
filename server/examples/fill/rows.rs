//! The many rows, made in the database itself.

use super::{
    ACCEPTED, CHUNK, ConnectionTrait, Cycle, DATA, FAILURE, Filling, HEADERS, MESSAGE, MINUTE, Made, OBJECTS, Objects,
    PAUSE, Phase, RESPONSE, Result, SOURCE, TagId, Transaction, VALUES, add, dice, waits,
};

impl Filling {
    pub(super) async fn fill(&self, phase: &Phase) -> Result<Made> {
        let mut made = Made::default();
        let cycles = (phase.deliveries + phase.cycle.deliveries - 1) / phase.cycle.deliveries;
        let step = (CHUNK / phase.cycle.deliveries).max(1);
        let mut first = 0;
        while first < cycles {
            let next = (first + step).min(cycles);
            let txn = self.store.begin().await?;
            self.stage(&txn, phase, first, next, cycles).await?;
            add(&mut made, self.insert(&txn, phase, cycles).await?);
            txn.execute_unprepared("DROP TABLE fill").await?;
            self.store.commit(txn).await?;
            println!("{:>12} of {} {}", made[2], phase.deliveries, phase.name);
            tokio::time::sleep(PAUSE).await;
            first = next;
        }
        Ok(made)
    }

    /// Makes the temporary table of a chunk: all that rows of more than one table have to agree about. It has a row for
    /// each delivery and for each occurrence that starts nothing. An occurrence's first row has `n = 0`.
    async fn stage(&self, txn: &Transaction, phase: &Phase, first: i64, next: i64, cycles: i64) -> Result<()> {
        let Phase { cycle: Cycle { rows, occurrences, deliveries, unreliable }, from, waves, wave, .. } = phase;
        let (all, last) = (cycles * occurrences, phase.deliveries);
        let count = last.min(next * deliveries) - first * deliveries;
        let occurrence = self.reserve(txn, "occurrence", (next - first) * occurrences).await? - first * occurrences;
        let run = self.reserve(txn, "run", count).await? - first * deliveries;
        let (rows, series) = (rows.join(", "), self.series(first, next));
        let (ro, rd, waits) = (dice("o", self.seed), dice("d", self.seed + 1), waits("attempts"));
        // The outcome of the delivery, as a number of thousandths.
        let fate = match unreliable {
            Some(id) if phase.name == "settled" => {
                format!("CASE WHEN destination_id = {id} THEN 800 + rd % 190 ELSE rd % 1000 END")
            }
            _ => "-1".to_owned(),
        };
        let status = phase.name;
        let sql = format!(
            "CREATE TEMP TABLE fill AS WITH RECURSIVE span (c) AS ({series}),
             slot (occ, n, pos, task_id, destination_id, event_row, type_id, event_id, reasons, started, low, objects)
                AS (VALUES {rows}),
             placed AS (SELECT slot.*, c * {occurrences} + occ AS o, c * {deliveries} + pos AS d
                FROM span CROSS JOIN slot WHERE c * {deliveries} + pos < {last}),
             thrown AS (SELECT placed.*, {ro} AS ro, {rd} AS rd, o * {waves} * 1000000 / {all} AS y FROM placed),
             fated AS (SELECT thrown.*, {fate} AS m, y / 1000000 AS w, y % 1000000 - 500000 AS g FROM thrown),
             judged AS (SELECT fated.*,
                {from} + (w * 1000000 + 500000 - g * g * g / 1000000000000 + g * 5 / 4) * {wave} / 1000000 AS at,
                CASE WHEN m < 0 THEN '{status}' WHEN m < 965 THEN 'sent' WHEN m < 996 THEN 'error' ELSE 'discarded' END
                    AS status,
                CASE WHEN m < 0 THEN 0 WHEN m < 900 THEN 1 WHEN m < 945 THEN 2 WHEN m < 960 THEN 3 WHEN m < 985 THEN 4
                    WHEN m < 992 THEN 1 ELSE 0 END AS attempts,
                CASE WHEN m < 900 THEN NULL WHEN m < 985 THEN rd / 1000 % 8 WHEN m < 992 THEN 8 WHEN m < 996 THEN 9
                    ELSE 10 END AS failure,
                12 + rd / 64 % 170 + CASE WHEN rd % 37 = 0 THEN 1400 ELSE 0 END AS ms FROM fated),
             timed AS (SELECT judged.*, at + 2 + rd % 40 AS first_at,
                CASE WHEN failure = 4 THEN 5000 ELSE ms END AS failed_ms,
                CASE WHEN failure = 4 AND status <> 'sent' THEN 5000 ELSE ms END AS last_ms FROM judged)
             SELECT o, n, o + {occurrence} AS occurrence_id, d + {run} AS delivery_id, task_id,
                destination_id, event_row, type_id, event_id, reasons, started, at, ro, rd, status, attempts, failure,
                CASE WHEN objects > 0 THEN low + ro / 7 % objects END AS object_id, first_at, failed_ms, last_ms,
                CASE WHEN m < 0 THEN NULL WHEN failure = 10 THEN at + 60000 WHEN attempts = 0 THEN at
                    ELSE first_at + {waits} + (attempts - 1) * failed_ms + last_ms END AS settled_at FROM timed"
        );
        txn.execute_unprepared(&sql).await?;
        Ok(())
    }

    /// Copies the chunk into the tables. `LEFT JOIN` keeps SQLite to the order of ids, in which the indexes grow.
    async fn insert(&self, txn: &Transaction, phase: &Phase, cycles: i64) -> Result<Made> {
        let (uuid, mark, (key, receipts)) = (self.uuid(), phase.mark, phase.receipts);
        let tags = self.sql(
            "(SELECT CAST(json_agg(c.tag_id ORDER BY c.tag_id) AS TEXT) FROM object_tag c WHERE c.object_id = o.id)",
            "(SELECT NULLIF(json_group_array(c.tag_id), '[]') FROM object_tag c WHERE c.object_id = o.id)",
        );
        let occurrence = format!(
            "INSERT INTO occurrence (id, uuid, type_id, event_id, object_id, object_external_id, object_name, external_id,
                source, occurred_at, received_at, data, tasks_started, object_tags, reasons, revision_mark)
             SELECT f.occurrence_id, {uuid}, f.type_id, f.event_id, o.id, o.external_id, o.name, 'e-' || f.occurrence_id,
                {SOURCE}, f.at - 30 - f.ro % 1500, f.at, {DATA}, f.started, {tags}, f.reasons, {mark}
             FROM fill f LEFT JOIN object o ON o.id = f.object_id WHERE f.n = 0 ORDER BY f.occurrence_id"
        );
        let run =
            "INSERT INTO run (id, task_id, task_name, occurrence_id, event_ids, status, started_at, ended_at, cause,
                task_folded)
             SELECT f.delivery_id, f.task_id, t.name, f.occurrence_id, CAST(f.event_row AS TEXT), CASE WHEN f.settled_at
                IS NULL THEN 'running' WHEN f.status = 'sent' THEN 'succeeded' ELSE 'failed' END, f.at, f.settled_at,
                'occurrence', NULLIF(lower(t.name), t.name)
             FROM fill f LEFT JOIN task t ON t.id = f.task_id WHERE f.task_id IS NOT NULL ORDER BY f.delivery_id";
        let message = VALUES
            .iter()
            .fold(format!("'{MESSAGE}'"), |text, (name, value)| text.replace(name, &format!("' || {value} || '")));
        let body = self.bytes(&format!("CASE WHEN x.code = 'too_large' THEN '' ELSE {message} END"));
        let delivery = format!(
            "WITH {FAILURE} INSERT INTO delivery (id, uuid, destination_id, destination_name, task_name, type_id, event_id,
                object_id, object_name, status, body, attempts, next_attempt_at, status_code, error_code, error,
                duration_ms, created_at, settled_at, hold_reason, destination_revision, destination_folded, task_folded, object_folded)
             SELECT f.delivery_id, {uuid}, f.destination_id, w.name, t.name, f.type_id, f.event_id, o.id, o.name,
                f.status, {body}, f.attempts, CASE WHEN f.settled_at IS NULL THEN f.at END,
                CASE WHEN f.status = 'sent' THEN {ACCEPTED} ELSE x.http END, x.code, x.error,
                CASE WHEN f.attempts > 0 THEN f.last_ms END, f.at, f.settled_at,
                CASE WHEN f.status = 'held' THEN 'paused' END, w.revision,
                NULLIF(lower(w.name), w.name), NULLIF(lower(t.name), t.name), NULLIF(lower(o.name), o.name)
             FROM fill f LEFT JOIN destination w ON w.id = f.destination_id LEFT JOIN task t ON t.id = f.task_id
             LEFT JOIN object o ON o.id = f.object_id LEFT JOIN failure x ON x.k = f.failure AND f.status <> 'sent'
             WHERE f.task_id IS NOT NULL ORDER BY f.delivery_id"
        );
        let (waits, response) = (waits("f.number"), format!("CASE WHEN f.has_response THEN {RESPONSE} ELSE '' END"));
        let response = self.bytes(&response);
        // All attempts but the last have failed. The delivery's status says whether the last one has.
        let attempt = format!(
            "WITH {FAILURE}, one (number) AS (VALUES (1), (2), (3), (4)),
             made AS (SELECT f.*, one.number, x.k, x.code, x.http, x.error, x.k IS NULL OR x.http IS NOT NULL
                AS has_response, CASE WHEN one.number < f.attempts THEN f.failed_ms ELSE f.last_ms END AS ms
                FROM fill f LEFT JOIN one ON one.number <= f.attempts LEFT JOIN failure x ON x.k = f.failure
                AND (f.status <> 'sent' OR one.number < f.attempts) WHERE f.task_id IS NOT NULL AND f.attempts > 0)
             INSERT INTO attempt (delivery_id, number, started_at, duration_ms, status_code, error_code, error,
                response_headers, response_body, destination_revision, connect_ms, first_byte_ms)
             SELECT f.delivery_id, f.number, f.first_at + {waits} + (f.number - 1) * f.failed_ms, f.ms,
                CASE WHEN f.k IS NULL THEN {ACCEPTED} ELSE f.http END, f.code, f.error,
                CASE WHEN f.has_response THEN '{HEADERS}' ELSE '' END, {response}, 1,
                CASE WHEN f.number = 1 AND COALESCE(f.failure, 0) <> 5 THEN 1 + f.rd % 9 END,
                CASE WHEN f.has_response THEN f.ms * 9 / 10 END FROM made f ORDER BY f.delivery_id, f.number"
        );
        // The receipts are of the last day, since older ones are not retained.
        let (oldest, from) = (self.now - 23 * 60 * MINUTE, cycles * phase.cycle.occurrences - receipts);
        let hash = self.sql("sha256(convert_to(CAST(gen_random_uuid() AS TEXT), 'UTF8'))", "randomblob(32)");
        let receipt = format!(
            "INSERT INTO receipt (key_id, source, external_id, content_hash, occurrence, tasks_started, created_at, repeats)
             SELECT {key}, o.source, o.external_id, {hash}, o.uuid, o.tasks_started, CASE WHEN f.at < {oldest}
                THEN {oldest} ELSE f.at END, CASE WHEN f.o % 50 = 0 THEN 1 ELSE 0 END
             FROM fill f LEFT JOIN occurrence o ON o.id = f.occurrence_id WHERE f.n = 0 AND f.o >= {from}"
        );
        let mut made = Made::default();
        for (count, sql) in made.iter_mut().zip([occurrence, run.to_owned(), delivery, attempt, receipt]) {
            *count = txn.execute_unprepared(&sql).await?.rows_affected();
        }
        Ok(made)
    }

    /// Makes objects of each type. `environments` and `teams` are tags that some of them carry.
    pub(super) async fn make_objects(&self, count: i64, environments: &[TagId], teams: &[TagId]) -> Result<Objects> {
        let mut made = Vec::new();
        for (type_id, prefix, share) in OBJECTS {
            let (count, at, suffix) = ((count * share / 100).max(1), self.start.0, &self.suffix);
            let txn = self.store.begin().await?;
            let low = self.reserve(&txn, "object", count).await?;
            let span = format!("WITH RECURSIVE span (c) AS ({})", self.series(low, low + count));
            let sql = format!(
                "{span} INSERT INTO object (id, type_id, external_id, name, created_at, updated_at) SELECT c, '{type_id}',
                 '{prefix}-{suffix}-' || c, '{prefix}-' || (c - {low} + 1) || '-{suffix}', {at}, {at} FROM span ORDER BY c"
            );
            txn.execute_unprepared(&sql).await?;
            let carried = [(environments, 1), (&teams[..4], 2), (&teams[4..], 7)];
            let kinds_of_tags =
                [("vms", 3), ("tenants", 1)].into_iter().find(|of| of.0 == type_id).map_or(0, |of| of.1);
            for (tags, every) in &carried[..kinds_of_tags] {
                let rows: Vec<_> = tags.iter().enumerate().map(|(n, tag)| format!("({n}, {tag})")).collect();
                let (rows, count) = (rows.join(", "), rows.len());
                let sql = format!(
                    "{span}, carried (n, tag_id) AS (VALUES {rows}) INSERT INTO object_tag (object_id, tag_id) SELECT c,
                     tag_id FROM span LEFT JOIN carried ON n = c / {every} % {count} WHERE c % {every} = 0 ORDER BY c"
                );
                txn.execute_unprepared(&sql).await?;
            }
            self.store.commit(txn).await?;
            made.push((type_id, low, count));
        }
        Ok(made)
    }
}
