PRAGMA application_id = 1868724324;
PRAGMA user_version = 4;
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
, uid INTEGER, failures INTEGER NOT NULL DEFAULT 0, deliveries_at_failure INTEGER, suspicion TEXT, refusals INTEGER NOT NULL DEFAULT 0, counted_ms INTEGER);
INSERT INTO outbox VALUES(2,'01M8N31A7C00000002Q4NE4Q84','default','track','42',1796004161772,NULL,2,0,1796004164434,NULL,'connect: Connection refused','{"type":"track","id":"42","name":"purchase 1"}',0,2,0,NULL,0,NULL);
INSERT INTO outbox VALUES(3,'01M8N31A7S00000003ATF08R7F','default','track','42',1796004161785,NULL,0,0,NULL,-9006016651837158604,NULL,'{"type":"track","id":"42","name":"purchase 2"}',0,0,NULL,NULL,0,NULL);
INSERT INTO outbox VALUES(4,'01M8N31A8M00000004KTE1AXWN','default','track','42',1796004161812,NULL,0,0,NULL,-9006016651837158604,NULL,'{"type":"track","id":"42","name":"purchase 3"}',0,0,NULL,NULL,0,NULL);
INSERT INTO outbox VALUES(5,'01M8N31A9S00000005DTGGDVGD','away','track','9',1796004161849,NULL,2,0,1796004164758,NULL,'connect: Connection refused','{"type":"track","connection":"away","id":"9","name":"nobody"}',0,2,0,NULL,0,NULL);
INSERT INTO outbox VALUES(6,'01M8N31AA500000006BYGCVA1F','away','track','10',1796004161861,NULL,1,0,1796004163264,NULL,'connect: Connection refused','{"type":"track","connection":"away","id":"10","name":"second"}',0,1,0,NULL,0,NULL);
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
INSERT INTO attempts VALUES(1,1,'01M8N31A6P00000001CNTF43CE','default','track','7',1796004161751,0,'deferred',NULL,'connect: Connection refused',NULL);
INSERT INTO attempts VALUES(1,2,'01M8N31A6P00000001CNTF43CE','default','track','7',1796004162753,0,'deferred',NULL,'connect: Connection refused',NULL);
INSERT INTO attempts VALUES(2,1,'01M8N31A7C00000002Q4NE4Q84','default','track','42',1796004162252,0,'deferred',NULL,'connect: Connection refused',NULL);
INSERT INTO attempts VALUES(2,2,'01M8N31A7C00000002Q4NE4Q84','default','track','42',1796004163802,0,'deferred',NULL,'connect: Connection refused',NULL);
INSERT INTO attempts VALUES(5,1,'01M8N31A9S00000005DTGGDVGD','away','track','9',1796004161849,0,'deferred',NULL,'connect: Connection refused',NULL);
INSERT INTO attempts VALUES(5,2,'01M8N31A9S00000005DTGGDVGD','away','track','9',1796004163947,0,'deferred',NULL,'connect: Connection refused',NULL);
INSERT INTO attempts VALUES(6,1,'01M8N31AA500000006BYGCVA1F','away','track','10',1796004162350,0,'deferred',NULL,'connect: Connection refused',NULL);
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
INSERT INTO dead_letters VALUES(1,'01M8N31A6P00000001CNTF43CE','default','track','7',1796004161750,1796004164015,'cancelled',NULL,'cancelled by an operator','cancelled by an operator',NULL,2,'{"type":"track","id":"7","name":"gone"}',0);
CREATE TABLE connections (       -- gates, so that a restart makes no storm
  name        TEXT PRIMARY KEY,
  state       TEXT NOT NULL,
  pause       TEXT NOT NULL,
  detail      TEXT NOT NULL,
  since_ms    INTEGER NOT NULL,
  reopen_ms   INTEGER,
  failures    INTEGER NOT NULL
);
INSERT INTO connections VALUES('default','throttled','','connect: Connection refused',1796004163803,1796004168776,4);
INSERT INTO connections VALUES('away','throttled','','connect: Connection refused',1796004163947,1796004166653,3);
CREATE TABLE counters (          -- kept in the same transaction as what they count
  connection  TEXT PRIMARY KEY,
  jobs        INTEGER NOT NULL,      -- rows in outbox
  dead        INTEGER NOT NULL,      -- rows in dead_letters
  attempts    INTEGER NOT NULL       -- rows in attempts
, delivered INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
INSERT INTO counters VALUES('away',2,0,3,0);
INSERT INTO counters VALUES('default',3,1,4,0);
CREATE TABLE sequence (          -- sequences are never reused, even after the outbox ran empty
  reserved    INTEGER NOT NULL       -- every sequence below may be in use; a start continues here
);
INSERT INTO sequence VALUES(100002);
CREATE INDEX outbox_deferred ON outbox (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX outbox_parked ON outbox (parked, seq, connection) WHERE parked IS NOT NULL;
COMMIT;
