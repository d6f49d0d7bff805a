-- +goose Up
-- One row a write that has ended. Each hash is made of the one before it and of the row, so that no row can be changed,
-- taken out or moved unseen.
CREATE TABLE audit_entries (
  account     TEXT   NOT NULL,
  seq         BIGINT NOT NULL, -- from 1, without gaps
  at          BIGINT NOT NULL, -- when it began
  duration_ms BIGINT NOT NULL,
  user_id     TEXT   NOT NULL,
  key_id      TEXT   NOT NULL,
  remote      TEXT   NOT NULL,
  surface     TEXT   NOT NULL,
  chat_id     TEXT   NOT NULL,
  turn_id     TEXT   NOT NULL,
  call_id     TEXT   NOT NULL,
  operation   TEXT   NOT NULL,
  resources   TEXT   NOT NULL, -- JSON list of ids and names
  input       TEXT   NOT NULL, -- JSON, masked and cut
  outcome     TEXT   NOT NULL, -- ok, failed, unknown
  code        TEXT   NOT NULL,
  detail      TEXT   NOT NULL,
  hash        TEXT   NOT NULL,
  PRIMARY KEY (account, seq)
);
-- Where the chain of an account ends.
CREATE TABLE audit_heads (
  account TEXT   NOT NULL PRIMARY KEY,
  seq     BIGINT NOT NULL,
  hash    TEXT   NOT NULL
);
-- Writes that are under way. What a dead process left here is a write of which nobody knows whether it happened.
CREATE TABLE audit_open (
  id      TEXT NOT NULL PRIMARY KEY,
  account TEXT NOT NULL,
  owner   TEXT NOT NULL, -- the process that carries it out
  entry   TEXT NOT NULL  -- JSON
);

-- +goose Down
DROP TABLE audit_open;
DROP TABLE audit_heads;
DROP TABLE audit_entries;
