-- +goose Up
CREATE TABLE automations (
  id          TEXT   NOT NULL PRIMARY KEY,
  account     TEXT   NOT NULL,
  name        TEXT   NOT NULL,
  prompt      TEXT   NOT NULL,
  cron        TEXT   NOT NULL,
  timezone    TEXT   NOT NULL,
  enabled     BIGINT NOT NULL,
  overlap     TEXT   NOT NULL, -- skip, queue
  catch_up    TEXT   NOT NULL, -- one, none
  chat_id     TEXT   NOT NULL,
  failures    BIGINT NOT NULL, -- in a row
  paused_why  TEXT   NOT NULL,
  next_run_at BIGINT NOT NULL, -- 0 when disabled
  last_run_at BIGINT NOT NULL,
  created_at  BIGINT NOT NULL,
  updated_at  BIGINT NOT NULL,
  UNIQUE (account, name)
);
CREATE INDEX automations_due ON automations (next_run_at) WHERE next_run_at > 0;

-- A slot is a row: it can be taken once, whoever dies and whoever else looks.
CREATE TABLE automation_runs (
  id          TEXT   NOT NULL PRIMARY KEY,
  account     TEXT   NOT NULL,
  automation  TEXT   NOT NULL REFERENCES automations (id) ON DELETE CASCADE,
  slot        BIGINT NOT NULL, -- the time it was meant for
  cause       TEXT   NOT NULL, -- schedule, catch-up, manual
  status      TEXT   NOT NULL, -- queued, running, done, failed, skipped
  turn_id     TEXT   NOT NULL,
  detail      TEXT   NOT NULL,
  started_at  BIGINT NOT NULL,
  finished_at BIGINT NOT NULL,
  created_at  BIGINT NOT NULL,
  UNIQUE (automation, slot, cause)
);
CREATE INDEX automation_runs_open ON automation_runs (automation, status);

-- +goose Down
DROP TABLE automation_runs;
DROP TABLE automations;
