-- +goose Up
-- Event streams are numbered within the transaction that appends: no number is ever given before its commit.
CREATE TABLE streams (
  account TEXT   NOT NULL,
  stream  TEXT   NOT NULL,
  seq     BIGINT NOT NULL,
  PRIMARY KEY (account, stream)
);
CREATE TABLE events (
  account    TEXT   NOT NULL,
  stream     TEXT   NOT NULL,
  seq        BIGINT NOT NULL,
  type       TEXT   NOT NULL,
  data       TEXT   NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (account, stream, seq)
);
CREATE TABLE jobs (
  id         TEXT   NOT NULL PRIMARY KEY,
  account    TEXT   NOT NULL,
  kind       TEXT   NOT NULL,
  key        TEXT   NOT NULL,
  payload    TEXT   NOT NULL,
  state      TEXT   NOT NULL, -- ready, leased
  run_at     BIGINT NOT NULL,
  owner      TEXT   NOT NULL,
  lease_until BIGINT NOT NULL,
  fence      BIGINT NOT NULL,
  attempt    BIGINT NOT NULL,
  last_error TEXT   NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (kind, key)
);
CREATE INDEX jobs_due ON jobs (state, run_at);

-- +goose Down
DROP TABLE jobs;
DROP TABLE events;
DROP TABLE streams;
