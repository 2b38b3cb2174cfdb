PRAGMA application_id = 1868724324;
PRAGMA user_version = 2;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
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
, uid INTEGER);
INSERT INTO outbox VALUES(1,'01M8MC33EK000000012JVTW18N','default','track','42',1795980103123,NULL,2,2,1795980105944,NULL,'connect: Connection refused','{"type":"track","id":"42","name":"purchase 1"}',0);
INSERT INTO outbox VALUES(2,'01M8MC33J300000002FNYF3R1J','default','track','42',1795980103235,NULL,0,0,NULL,-9006016651837158604,NULL,'{"type":"track","id":"42","name":"purchase 2"}',0);
INSERT INTO outbox VALUES(3,'01M8MC33K200000003ART18ZNB','gone','track','9',1795980103266,NULL,1,1,1795980103619,NULL,'connect: Connection refused','{"type":"track","id":"9","name":"left behind","connection":"gone"}',0);
INSERT INTO outbox VALUES(4,'01M8MC33PJ000000040SZQ1J36','lunch','track','9',1795980103378,NULL,0,0,NULL,NULL,NULL,'{"type":"track","id":"9","name":"after lunch","connection":"lunch"}',0);
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
INSERT INTO attempts VALUES(1,1,'01M8MC33EK000000012JVTW18N','default','track','42',1795980103134,1,'deferred',NULL,'connect: Connection refused',NULL);
INSERT INTO attempts VALUES(1,2,'01M8MC33EK000000012JVTW18N','default','track','42',1795980104093,0,'deferred',NULL,'connect: Connection refused',NULL);
INSERT INTO attempts VALUES(3,1,'01M8MC33K200000003ART18ZNB','gone','track','9',1795980103277,0,'deferred',NULL,'connect: Connection refused',NULL);
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
, uid INTEGER);
CREATE TABLE connections (       -- gates, so that a restart makes no storm
  name        TEXT PRIMARY KEY,
  state       TEXT NOT NULL,
  pause       TEXT NOT NULL,
  detail      TEXT NOT NULL,
  since_ms    INTEGER NOT NULL,
  reopen_ms   INTEGER,
  failures    INTEGER NOT NULL
);
INSERT INTO connections VALUES('lunch','paused','operator','paused by an operator',1795980102882,NULL,0);
INSERT INTO connections VALUES('gone','paused','operator','not in the config',1795980103574,NULL,1);
INSERT INTO connections VALUES('default','throttled','','connect: Connection refused',1795980104093,1795980105419,2);
CREATE TABLE counters (          -- kept in the same transaction as what they count
  connection  TEXT PRIMARY KEY,
  jobs        INTEGER NOT NULL,      -- rows in outbox
  dead        INTEGER NOT NULL,      -- rows in dead_letters
  attempts    INTEGER NOT NULL       -- rows in attempts
) WITHOUT ROWID;
INSERT INTO counters VALUES('default',2,0,2);
INSERT INTO counters VALUES('gone',1,0,1);
INSERT INTO counters VALUES('lunch',1,0,0);
CREATE TABLE sequence (          -- sequences are never reused, even after the outbox ran empty
  reserved    INTEGER NOT NULL       -- every sequence below may be in use; a start continues here
);
INSERT INTO sequence VALUES(100002);
CREATE INDEX outbox_deferred ON outbox (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX outbox_parked ON outbox (parked, seq, connection) WHERE parked IS NOT NULL;
COMMIT;
