-- +goose Up
-- One row an asked-for effect: written before the effect, closed after it.
CREATE TABLE effects (
  account     TEXT   NOT NULL,
  key         TEXT   NOT NULL,
  op          TEXT   NOT NULL,
  input       TEXT   NOT NULL, -- hash of the input
  state       TEXT   NOT NULL, -- intended, done, failed
  owner       TEXT   NOT NULL, -- the process that works on it
  result      TEXT   NOT NULL,
  created_at  BIGINT NOT NULL,
  finished_at BIGINT NOT NULL,
  PRIMARY KEY (account, key)
);
CREATE INDEX effects_age ON effects (created_at);

-- +goose Down
DROP TABLE effects;
