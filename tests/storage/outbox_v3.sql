PRAGMA application_id = 1868724324;
PRAGMA user_version = 3;
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
INSERT INTO outbox VALUES(3,'01M8MNMN5Z00000003V6AV4ZRM','away','track','9',1795990115519,NULL,7,7,1795990121583,NULL,'connect: Connection refused','{"type":"track","connection":"away","id":"9","name":"nobody"}',0);
INSERT INTO outbox VALUES(4,'01M8MNMN6900000004PT84RVRV','default','track','42',1795990115529,NULL,3,2,NULL,NULL,'401 Unauthorized','{"type":"track","id":"42","name":"purchase 1"}',0);
INSERT INTO outbox VALUES(5,'01M8MNMN6M000000053GRWSRAZ','default','track','42',1795990115540,NULL,0,0,NULL,-9006016651837158604,NULL,'{"type":"track","id":"42","name":"purchase 2"}',0);
INSERT INTO outbox VALUES(6,'01M8MNMN6Z00000006B31PT0EY','default','track','42',1795990115551,NULL,0,0,NULL,-9006016651837158604,NULL,'{"type":"track","id":"42","name":"purchase 3"}',0);
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
INSERT INTO attempts VALUES(1,1,'01M8MNMMVW000000014560KSH2','default','track','1',1795990115196,1,'delivered',200,NULL,'{}');
INSERT INTO attempts VALUES(2,1,'01M8MNMMW700000002VKRK2HEX','default','track','2',1795990115207,43,'rejected',400,NULL,'{"meta":{"error":"no"}}');
INSERT INTO attempts VALUES(3,1,'01M8MNMN5Z00000003V6AV4ZRM','away','track','9',1795990115519,0,'deferred',NULL,'connect: Connection refused',NULL);
INSERT INTO attempts VALUES(3,2,'01M8MNMN5Z00000003V6AV4ZRM','away','track','9',1795990115620,0,'deferred',NULL,'connect: Connection refused',NULL);
INSERT INTO attempts VALUES(3,3,'01M8MNMN5Z00000003V6AV4ZRM','away','track','9',1795990115965,0,'deferred',NULL,'connect: Connection refused',NULL);
INSERT INTO attempts VALUES(3,4,'01M8MNMN5Z00000003V6AV4ZRM','away','track','9',1795990116294,0,'deferred',NULL,'connect: Connection refused',NULL);
INSERT INTO attempts VALUES(3,5,'01M8MNMN5Z00000003V6AV4ZRM','away','track','9',1795990117463,0,'deferred',NULL,'connect: Connection refused',NULL);
INSERT INTO attempts VALUES(3,6,'01M8MNMN5Z00000003V6AV4ZRM','away','track','9',1795990119065,0,'deferred',NULL,'connect: Connection refused',NULL);
INSERT INTO attempts VALUES(3,7,'01M8MNMN5Z00000003V6AV4ZRM','away','track','9',1795990120914,0,'deferred',NULL,'connect: Connection refused',NULL);
INSERT INTO attempts VALUES(4,1,'01M8MNMN6900000004PT84RVRV','default','track','42',1795990115529,1,'deferred',503,NULL,'{"meta":{"error":"no"}}');
INSERT INTO attempts VALUES(4,2,'01M8MNMN6900000004PT84RVRV','default','track','42',1795990115656,1,'deferred',503,NULL,'{"meta":{"error":"no"}}');
INSERT INTO attempts VALUES(4,3,'01M8MNMN6900000004PT84RVRV','default','track','42',1795990115821,1,'paused_auth',401,NULL,'{"meta":{"error":"no"}}');
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
INSERT INTO dead_letters VALUES(2,'01M8MNMMW700000002VKRK2HEX','default','track','2',1795990115207,1795990115260,'rejected',400,'400 Bad Request','400 Bad Request: {"meta":{"error":"no"}}','{"meta":{"error":"no"}}',1,'{"type":"track","id":"2","name":"bad"}',0);
CREATE TABLE connections (       -- gates, so that a restart makes no storm
  name        TEXT PRIMARY KEY,
  state       TEXT NOT NULL,
  pause       TEXT NOT NULL,
  detail      TEXT NOT NULL,
  since_ms    INTEGER NOT NULL,
  reopen_ms   INTEGER,
  failures    INTEGER NOT NULL
);
INSERT INTO connections VALUES('default','paused','auth','401 Unauthorized',1795990115822,NULL,2);
INSERT INTO connections VALUES('away','throttled','','connect: Connection refused',1795990120914,1795990121841,7);
CREATE TABLE counters (          -- kept in the same transaction as what they count
  connection  TEXT PRIMARY KEY,
  jobs        INTEGER NOT NULL,      -- rows in outbox
  dead        INTEGER NOT NULL,      -- rows in dead_letters
  attempts    INTEGER NOT NULL       -- rows in attempts
) WITHOUT ROWID;
INSERT INTO counters VALUES('away',1,0,7);
INSERT INTO counters VALUES('default',3,1,5);
CREATE TABLE sequence (          -- sequences are never reused, even after the outbox ran empty
  reserved    INTEGER NOT NULL       -- every sequence below may be in use; a start continues here
);
INSERT INTO sequence VALUES(100002);
CREATE INDEX outbox_deferred ON outbox (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX outbox_parked ON outbox (parked, seq, connection) WHERE parked IS NOT NULL;
COMMIT;
