-- A desk: its log, its state and the requests it remembers.
--
-- Every table is keyed by an integer that grows with each row, so that new rows go to the end of the
-- table; an id leads to its row through one unique index. Columns repeat only what is searched,
-- counted or audited; the truth of a row is its record, a message of agentdesk.record.v1.
-- Times are microseconds since 1970. Numbers of states and types are those of the protos.

CREATE TABLE meta (
  meta_key INTEGER PRIMARY KEY CHECK (meta_key = 1),
  desk_id BLOB NOT NULL,
  oldest INTEGER NOT NULL  -- the first position that Subscribe serves
) STRICT;

CREATE TABLE tickets (
  ticket_key INTEGER PRIMARY KEY,
  ticket_id BLOB NOT NULL,
  session_id BLOB NOT NULL,
  status INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  actor TEXT NOT NULL,
  trace_id TEXT NOT NULL,
  record BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX tickets_by_id ON tickets (ticket_id);
CREATE UNIQUE INDEX tickets_by_session ON tickets (session_id);
-- Each status is a run of keys; live tickets and open sessions are the merge of four runs.
CREATE INDEX tickets_by_status ON tickets (status);

CREATE TABLE jobs (
  job_key INTEGER PRIMARY KEY,
  job_id BLOB NOT NULL,  -- the UUID in `job-UUID`
  ticket_key INTEGER NOT NULL,
  status INTEGER NOT NULL,
  queue TEXT NOT NULL,
  priority INTEGER NOT NULL,
  claimable INTEGER NOT NULL,
  lease_token INTEGER NOT NULL,  -- 0: no lease
  due_us INTEGER NOT NULL,       -- when a delayed job becomes claimable; 0: not set
  tenant TEXT NOT NULL,
  actor TEXT NOT NULL,
  trace_id TEXT NOT NULL,
  record BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX jobs_by_id ON jobs (job_id);
CREATE INDEX jobs_by_ticket ON jobs (ticket_key);
CREATE INDEX jobs_by_status ON jobs (status);
CREATE INDEX jobs_claimable ON jobs (queue, priority DESC) WHERE claimable = 1;
CREATE INDEX jobs_leased ON jobs (lease_token) WHERE lease_token > 0;
CREATE INDEX jobs_delayed ON jobs (due_us) WHERE claimable = 0 AND status = 1;

CREATE TABLE questions (
  question_key INTEGER PRIMARY KEY,
  question_id BLOB NOT NULL,
  ticket_key INTEGER NOT NULL,
  asker_key TEXT NOT NULL,
  state INTEGER NOT NULL,
  expires_us INTEGER NOT NULL,       -- 9223372036854775807: no deadline
  asked_sequence INTEGER NOT NULL,
  closed_sequence INTEGER NOT NULL,  -- 9223372036854775807: still open
  tenant TEXT NOT NULL,
  actor TEXT NOT NULL,
  trace_id TEXT NOT NULL,
  record BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX questions_by_id ON questions (question_id);
CREATE UNIQUE INDEX questions_by_asker_key ON questions (ticket_key, asker_key)
  WHERE asker_key <> '';
CREATE INDEX questions_by_asked ON questions (ticket_key, asked_sequence);
-- Those open as of a position are those closed after it, so this index never walks old questions.
CREATE INDEX questions_by_closed ON questions (ticket_key, closed_sequence);
CREATE INDEX questions_by_deadline ON questions (state, expires_us);

-- The log. `event` is the event as it goes on the wire; content_hash and chain are what
-- event_chain.h says. Erasing content replaces `event` by its header and names the event that did it
-- in `erased_by`; sequence, content_hash and chain stay.
CREATE TABLE events (
  sequence INTEGER PRIMARY KEY,
  type INTEGER NOT NULL,
  time_us INTEGER NOT NULL,
  ticket_key INTEGER,
  event BLOB NOT NULL,
  content_hash BLOB NOT NULL,
  chain BLOB NOT NULL,
  tenant TEXT NOT NULL,
  actor TEXT NOT NULL,
  trace_id TEXT NOT NULL,
  erased_by INTEGER
) STRICT;
CREATE INDEX events_by_ticket ON events (ticket_key);

CREATE TABLE activity_keys (
  activity_key INTEGER PRIMARY KEY,
  ticket_key INTEGER NOT NULL,
  agent_key TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX activity_keys_by_key ON activity_keys (ticket_key, agent_key);

-- Request ids are random, so each new one touches another page of the index that finds them. 8 bytes
-- of a hash in place of the texts make that index four times smaller; the texts decide.
CREATE TABLE requests (
  request_key INTEGER PRIMARY KEY,
  id_hash INTEGER NOT NULL,  -- of caller and request_id
  caller TEXT NOT NULL,
  request_id TEXT NOT NULL,
  time_us INTEGER NOT NULL,
  fingerprint BLOB NOT NULL,
  response BLOB NOT NULL
) STRICT;
CREATE INDEX requests_by_hash ON requests (id_hash);
