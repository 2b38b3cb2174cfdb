// storage/schema.h — the disk format and its versions.
//
// Changing it: append one string to kMigrations (never edit an old one), let it bring version N to N+1 in
// place, describe the new columns in docs/design.md, and keep a database of the old version under
// tests/storage/ as a test.
#pragma once

#include <array>
#include <cstdint>

namespace outboxd::schema {

inline constexpr std::int32_t kApplicationId = 0x6f627864;  // "obxd"
// Of a new file, and of a small one from before (storage/open.h). A lone commit writes whole pages, so small
// ones spare the disk; under load they cost no more, because neighbours are written by one call
// (storage/gathered_writes.h).
inline constexpr std::int32_t kPageBytes = 4096;

// Migration i brings user_version i to i + 1.
inline constexpr std::array kMigrations = {
    R"sql(
CREATE TABLE outbox (            -- accepted and unsettled
  seq         INTEGER PRIMARY KEY,   -- order of acceptance; also the middle of the job id
  job         TEXT NOT NULL,         -- ULID
  connection  TEXT NOT NULL,
  type        TEXT NOT NULL,
  customer    TEXT,                  -- id or anonymous_id
  accepted_ms INTEGER NOT NULL,      -- all *_ms are Unix milliseconds, UTC
  redriven_ms INTEGER,               -- of the last redrive
  attempts    INTEGER NOT NULL DEFAULT 0,  -- requests that left
  charged     INTEGER NOT NULL DEFAULT 0,  -- those that count against retry.max_attempts
  due_ms      INTEGER,               -- not null: deferred until then
  parked      INTEGER,               -- not null: the lane key whose earlier jobs it waits for on disk
  reason      TEXT,                  -- of the last attempt that did not deliver it
  line        TEXT NOT NULL          -- as the producer wrote it
);
CREATE INDEX outbox_deferred ON outbox (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX outbox_parked ON outbox (parked, seq, connection) WHERE parked IS NOT NULL;

CREATE TABLE attempts (          -- one row for each request that left
  seq         INTEGER NOT NULL,
  attempt     INTEGER NOT NULL,      -- 1, 2, … within the job, across redrives
  job         TEXT NOT NULL,
  connection  TEXT NOT NULL,
  type        TEXT NOT NULL,
  customer    TEXT,
  sent_ms     INTEGER NOT NULL,
  duration_ms INTEGER NOT NULL,
  result      TEXT NOT NULL,         -- delivered, deferred, rejected, paused_auth, paused_region, split
  status      INTEGER,               -- HTTP status; null when there was no answer
  error       TEXT,                  -- why there was none
  answer      TEXT,                  -- first bytes of the answer's body
  PRIMARY KEY (seq, attempt)
) WITHOUT ROWID;

CREATE TABLE dead_letters (
  seq         INTEGER PRIMARY KEY,
  job         TEXT NOT NULL,
  connection  TEXT NOT NULL,
  type        TEXT NOT NULL,
  customer    TEXT,
  accepted_ms INTEGER NOT NULL,
  dead_ms     INTEGER NOT NULL,
  death       TEXT NOT NULL,         -- rejected, exhausted, expired, cancelled
  status      INTEGER,               -- of the last answer
  reason      TEXT NOT NULL,         -- for people
  cause       TEXT NOT NULL,         -- reason and answer made alike for equal causes
  answer      TEXT,
  attempts    INTEGER NOT NULL,
  line        TEXT NOT NULL
);

CREATE TABLE connections (       -- gates, so that a restart makes no storm
  name        TEXT PRIMARY KEY,
  state       TEXT NOT NULL,
  pause       TEXT NOT NULL,
  detail      TEXT NOT NULL,
  since_ms    INTEGER NOT NULL,
  reopen_ms   INTEGER,
  failures    INTEGER NOT NULL
);

CREATE TABLE counters (          -- kept in the same transaction as what they count
  connection  TEXT PRIMARY KEY,
  jobs        INTEGER NOT NULL,      -- rows in outbox
  dead        INTEGER NOT NULL,      -- rows in dead_letters
  attempts    INTEGER NOT NULL       -- rows in attempts
) WITHOUT ROWID;

CREATE TABLE sequence (          -- sequences are never reused, even after the outbox ran empty
  reserved    INTEGER NOT NULL       -- every sequence below may be in use; a start continues here
);
INSERT INTO sequence (reserved) VALUES (1);
)sql",
    R"sql(
ALTER TABLE outbox ADD COLUMN uid INTEGER;        -- of the producer's process
ALTER TABLE dead_letters ADD COLUMN uid INTEGER;
)sql",
    // What was known by the text alone has a reason of its own.
    R"sql(
UPDATE connections SET pause = 'unconfigured' WHERE pause = 'operator' AND detail = 'not in the config';
)sql",
    // Whose fault a failure is. Rows from before hold no failures of their own: readers count those charged.
    R"sql(
ALTER TABLE outbox ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;     -- deferrals, charged or not
ALTER TABLE outbox ADD COLUMN deliveries_at_failure INTEGER;           -- counters.delivered at the last one
ALTER TABLE outbox ADD COLUMN suspicion TEXT;                          -- auth, region, trouble, not_track_api
ALTER TABLE outbox ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0;     -- answers of a suspect counted alike
ALTER TABLE outbox ADD COLUMN counted_ms INTEGER;                      -- the last of them, or of charges alone
ALTER TABLE counters ADD COLUMN delivered INTEGER NOT NULL DEFAULT 0;  -- jobs, since format 4
)sql",
    // Deferred jobs beyond memory, parked ones of several lanes, what each user holds, and lines as they were
    // before an operator corrected them. Rows from before are not stowed; users are counted at the first
    // start.
    R"sql(
ALTER TABLE outbox ADD COLUMN stowed INTEGER;  -- not null: deferred, and in memory only once it is due; how
                                               -- many jobs its next request may hold, 0: any number. Or
                                               -- parked, and it keeps other lanes as well
DROP INDEX outbox_deferred;
CREATE INDEX outbox_deferred ON outbox (due_ms) WHERE due_ms IS NOT NULL AND stowed IS NULL;
CREATE INDEX outbox_stowed ON outbox (connection, due_ms) WHERE stowed IS NOT NULL;
CREATE TABLE stowed_lanes (      -- that stowed jobs keep, and parked ones besides that where they wait
  seq         INTEGER NOT NULL,
  lane        INTEGER NOT NULL,      -- its key
  PRIMARY KEY (seq, lane)
) WITHOUT ROWID;
CREATE INDEX stowed_lanes_lane ON stowed_lanes (lane, seq);

-- The rows of the outbox above the highest of them are not counted yet: a transaction that only accepts jobs
-- does not write the counters.
ALTER TABLE counters ADD COLUMN through INTEGER;
UPDATE counters SET through = (SELECT reserved - 1 FROM sequence);

-- What each user holds. Its rows stand among the counters, for nothing but the page: those are stored with
-- them, and one more would be written. Their key is the uid as a blob, which no connection's name is.
ALTER TABLE counters ADD COLUMN uid INTEGER;         -- not null: a user's row; -1: everybody who comes by TCP
ALTER TABLE counters ADD COLUMN held_jobs INTEGER;   -- rows in outbox
ALTER TABLE counters ADD COLUMN job_bytes INTEGER;   -- of their lines
ALTER TABLE counters ADD COLUMN held_dead INTEGER;   -- rows in dead_letters
ALTER TABLE counters ADD COLUMN dead_bytes INTEGER;
CREATE VIEW users AS             -- with what is not counted yet
  SELECT uid, sum(jobs) AS jobs, sum(job_bytes) AS job_bytes, sum(dead) AS dead, sum(dead_bytes) AS dead_bytes
  FROM (SELECT uid, held_jobs AS jobs, job_bytes, held_dead AS dead, dead_bytes FROM counters
        WHERE uid IS NOT NULL
        UNION ALL
        SELECT ifnull(uid, -1), 1, length(CAST(line AS BLOB)), 0, 0 FROM outbox
        WHERE seq > (SELECT ifnull(max(through), 0) FROM counters WHERE uid IS NULL))
  GROUP BY uid;

ALTER TABLE outbox ADD COLUMN boot INTEGER;            -- of acceptance: boots.number; null: not known
ALTER TABLE outbox ADD COLUMN boot_ms INTEGER;         -- since that boot, by the boot clock
ALTER TABLE outbox ADD COLUMN synchronised INTEGER;    -- 0: accepted_ms moves with the steps of the clock
ALTER TABLE outbox ADD COLUMN redriven_boot INTEGER;   -- not null: redriven_ms does so
ALTER TABLE outbox ADD COLUMN redriven_boot_ms INTEGER;
ALTER TABLE dead_letters ADD COLUMN boot INTEGER;
ALTER TABLE dead_letters ADD COLUMN boot_ms INTEGER;
ALTER TABLE dead_letters ADD COLUMN synchronised INTEGER;
CREATE TABLE boots (             -- of the host; the highest number is the last one
  number      INTEGER PRIMARY KEY,
  id          TEXT NOT NULL,
  offset_ms   INTEGER,               -- wall clock less boot clock, at its last step; null: it was never set
  set_ms      INTEGER                -- where it was not: when it was, in a later boot
);

CREATE TABLE start (             -- the last one
  stamp       TEXT NOT NULL          -- random; also in the lock file
);

CREATE TABLE amended (           -- lines that an operator replaced, as they were
  seq         INTEGER NOT NULL,
  amended_ms  INTEGER NOT NULL,
  job         TEXT NOT NULL,
  connection  TEXT NOT NULL,
  type        TEXT NOT NULL,
  customer    TEXT,
  line        TEXT NOT NULL,
  PRIMARY KEY (seq, amended_ms)
) WITHOUT ROWID;

-- Attempts, packed: what one commit wrote of them (storage/history_pack.h has the format of `records`).
CREATE TABLE history (
  id          INTEGER PRIMARY KEY,   -- rises; never below the seq of a job in it
  first_ms    INTEGER NOT NULL,      -- none was sent before
  last_ms     INTEGER NOT NULL,      -- nor after
  rows        INTEGER NOT NULL,      -- how many
  records     TEXT NOT NULL
);

-- The old rows, in the order of their key, about 3500 bytes a pack. Those of a number that no job can have are
-- left out.
CREATE TABLE old_attempts (number INTEGER PRIMARY KEY, seq, attempt, end_seq, end_attempt, id, first_ms, last_ms,
  rows);
INSERT INTO old_attempts (seq, attempt) SELECT seq, attempt FROM (
  SELECT seq, attempt, bytes, sum(bytes) OVER (ORDER BY seq, attempt ROWS UNBOUNDED PRECEDING) AS through FROM (
    SELECT seq, attempt, 40 + ifnull(length(customer), 0) + CASE WHEN answer = '{}' THEN 0 ELSE
      50 + ifnull(length(answer), 0) + ifnull(length(error), 0) END AS bytes
    FROM attempts WHERE typeof(seq) = 'integer' AND seq BETWEEN 1 AND (1 << 40) - 2))
  WHERE through / 3500 <> (through - bytes) / 3500 OR through = bytes;
UPDATE old_attempts SET (end_seq, end_attempt) = (SELECT seq, attempt FROM old_attempts n WHERE n.number =
  old_attempts.number + 1);
UPDATE old_attempts SET end_seq = ifnull(end_seq, (1 << 40) - 1), end_attempt = ifnull(end_attempt, 0);
UPDATE old_attempts SET (id, first_ms, last_ms, rows) = (
  SELECT number + max(a.seq), min(CAST(a.sent_ms AS INTEGER)), max(CAST(a.sent_ms AS INTEGER)), count(*)
  FROM attempts a WHERE (a.seq, a.attempt) >= (old_attempts.seq, old_attempts.attempt) AND
    (a.seq, a.attempt) < (end_seq, end_attempt));
INSERT INTO history (id, first_ms, last_ms, rows, records) SELECT id, first_ms, last_ms, rows, (
  WITH old AS MATERIALIZED (
    SELECT a.seq, a.attempt, CAST(a.job AS TEXT) AS job, CAST(a.customer AS TEXT) AS customer,
      CAST(a.sent_ms AS INTEGER) AS sent_ms, CAST(a.duration_ms AS INTEGER) AS duration_ms,
      CASE WHEN a.type = 'track' AND a.connection = 'default' AND a.result = 'delivered' AND a.status = 200 AND
        a.answer = '{}' AND a.error IS NULL THEN '[]'
      ELSE json_array(0, NULL, CAST(ifnull(a.answer, '') AS TEXT), CAST(a.type AS TEXT), CAST(a.result AS TEXT),
        CAST(ifnull(a.status, 0) AS INTEGER), CAST(ifnull(a.error, '') AS TEXT), CAST(a.connection AS TEXT)) END
      AS kind
    FROM attempts a WHERE (a.seq, a.attempt) >= (p.seq, p.attempt) AND (a.seq, a.attempt) < (p.end_seq, p.end_attempt))
  SELECT '[[' || (SELECT group_concat(kind) FROM (SELECT DISTINCT kind FROM old ORDER BY kind <> '[]', kind)) ||
    '],' || group_concat(record) || ']' FROM (
    SELECT json_array(substr(job, 19, 8), p.id - seq, p.first_ms - id_ms, sent_ms - p.first_ms, duration_ms,
      ifnull(customer, ''), dense_rank() OVER (ORDER BY kind <> '[]', kind) - 1, 0, CAST(attempt AS INTEGER))
      AS record
    FROM (SELECT *, (SELECT sum(instr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', substr(job, value, 1)) - 1 << 50 - 5 * value)
      FROM json_each('[1,2,3,4,5,6,7,8,9,10]')) AS id_ms FROM old) ORDER BY seq, attempt))
FROM old_attempts p ORDER BY number;
DROP TABLE old_attempts;
DELETE FROM attempts;  -- at a stroke; to drop a full table takes as much memory as it is long
DROP TABLE attempts;

CREATE VIEW attempts AS            -- one row for each, for people. By json_each() alone: SQLite 3.40 takes its
                                   -- other functions for unsafe where trusted_schema is off
SELECT seq, attempt,
  (SELECT group_concat(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', (id_ms >> value & 31) + 1, 1), '')
    FROM json_each('[45,40,35,30,25,20,15,10,5,0]')) ||
  (SELECT group_concat(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', (seq >> value & 31) + 1, 1), '')
    FROM json_each('[35,30,25,20,15,10,5,0]')) || random AS job,
  ifnull((SELECT value FROM json_each(kind) WHERE key = 7 AND type = 'text'), 'default') AS connection,
  ifnull((SELECT value FROM json_each(kind) WHERE key = 3 AND type = 'text'), 'track') AS type,
  nullif(customer, '') AS customer, sent_ms, duration_ms,
  ifnull((SELECT value FROM json_each(kind) WHERE key = 4 AND type = 'text'), 'delivered') AS result,
  nullif(ifnull((SELECT value FROM json_each(kind) WHERE key = 5), 200), 0) AS status,
  nullif((SELECT value FROM json_each(kind) WHERE key = 6 AND type = 'text'), '') AS error,
  nullif(ifnull((SELECT value FROM json_each(kind) WHERE key = 2 AND type = 'text'), '{}'), '') AS answer,
  (SELECT value FROM json_each(kind) WHERE key = 0 AND type = 'text') AS name, ref,
  (SELECT value FROM json_each(kind) WHERE key = 1) AS uid, id_ms + accepted AS accepted_ms
FROM (
  SELECT pack - (SELECT value FROM json_each(record) WHERE key = 1) AS seq,
    ifnull((SELECT value FROM json_each(record) WHERE key = 8), 1) AS attempt,
    first_ms - (SELECT value FROM json_each(record) WHERE key = 2) AS id_ms,
    first_ms + (SELECT value FROM json_each(record) WHERE key = 3) AS sent_ms,
    (SELECT value FROM json_each(record) WHERE key = 4) AS duration_ms,
    (SELECT value FROM json_each(record) WHERE key = 0) AS random,
    (SELECT value FROM json_each(record) WHERE key = 5) AS customer,
    (SELECT value FROM json_each(record) WHERE key = 7 AND type = 'text') AS ref,
    ifnull((SELECT value FROM json_each(record) WHERE key = 9), 0) AS accepted,
    (SELECT value FROM json_each(records, '$[0]') WHERE type = 'array' AND key =
      ifnull((SELECT value FROM json_each(record) WHERE key = 6), 0)) AS kind
  FROM (SELECT history.id AS pack, first_ms, records, value AS record FROM history, json_each(records)
    WHERE key > 0 AND type = 'array'));
)sql",
};

}  // namespace outboxd::schema
