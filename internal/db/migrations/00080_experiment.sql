-- +goose Up
CREATE TABLE experiments (
  id            TEXT   NOT NULL PRIMARY KEY,
  account       TEXT   NOT NULL,
  name          TEXT   NOT NULL,
  name_key      TEXT   NOT NULL, -- the name in lower case
  skill         TEXT   NOT NULL, -- id; name, version and digest are those of the experiment's beginning
  skill_name    TEXT   NOT NULL,
  skill_version BIGINT NOT NULL,
  skill_digest  TEXT   NOT NULL,
  suite         TEXT   NOT NULL,
  metric        TEXT   NOT NULL,
  seed          BIGINT NOT NULL,
  budget        TEXT   NOT NULL, -- JSON
  status        TEXT   NOT NULL,
  stage         TEXT   NOT NULL, -- of a running one: deploying, evaluating, selecting, opening
  generation    BIGINT NOT NULL,
  champion      TEXT   NOT NULL, -- the variant that is displayed as the best of all, or ''
  goal          TEXT   NOT NULL, -- JSON: what remains to be done after this generation
  rescore       BIGINT NOT NULL, -- how often scores were asked for anew
  last_error    TEXT   NOT NULL,
  runs          BIGINT NOT NULL, -- evaluations made so far, and what they took
  cpu_ms        BIGINT NOT NULL,
  wall_ms       BIGINT NOT NULL,
  created_at    BIGINT NOT NULL,
  updated_at    BIGINT NOT NULL,
  UNIQUE (account, name_key)
);
CREATE TABLE experiment_generations (
  account    TEXT   NOT NULL,
  experiment TEXT   NOT NULL,
  number     BIGINT NOT NULL,
  status     TEXT   NOT NULL,
  focus      TEXT   NOT NULL,
  notes      TEXT   NOT NULL, -- JSON: plain sentences
  best       TEXT   NOT NULL, -- variant, or ''
  created_at BIGINT NOT NULL,
  PRIMARY KEY (experiment, number)
);
CREATE TABLE experiment_variants (
  id            TEXT   NOT NULL PRIMARY KEY,
  account       TEXT   NOT NULL,
  experiment    TEXT   NOT NULL,
  generation    BIGINT NOT NULL,
  slot          BIGINT NOT NULL,
  name          TEXT   NOT NULL,
  digest        TEXT   NOT NULL, -- of the genome
  genome        TEXT   NOT NULL, -- JSON
  origin        TEXT   NOT NULL,
  parents       TEXT   NOT NULL, -- JSON: names
  rationale     TEXT   NOT NULL,
  instance      TEXT   NOT NULL, -- id, or ''
  instance_name TEXT   NOT NULL,
  making        BIGINT NOT NULL, -- how many instances it has had
  seen          BIGINT NOT NULL, -- the latest split whose history its instance was given: 0 none, 1 search, 2 select, 3 sealed
  created_at    BIGINT NOT NULL,
  UNIQUE (experiment, name)
);
-- One row is what one genome scored on one split. Clones share it.
CREATE TABLE experiment_evaluations (
  account    TEXT   NOT NULL,
  experiment TEXT   NOT NULL,
  digest     TEXT   NOT NULL,
  suite      TEXT   NOT NULL,
  split      TEXT   NOT NULL,
  seed       BIGINT NOT NULL,
  status     TEXT   NOT NULL, -- ok, invalid, crash, timeout, missing, scorer_error
  detail     TEXT   NOT NULL,
  tail       TEXT   NOT NULL, -- JSON: the last lines of standard error
  series     TEXT   NOT NULL, -- JSON: sufficient statistics by cluster; '' unless ok
  answers    TEXT   NOT NULL, -- digest of the answers
  variant    TEXT   NOT NULL, -- whose instance it ran in
  cpu_ms     BIGINT NOT NULL,
  wall_ms    BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (experiment, digest, suite, split, seed)
);
CREATE TABLE experiment_decisions (
  account    TEXT   NOT NULL,
  experiment TEXT   NOT NULL,
  seq        BIGINT NOT NULL,
  kind       TEXT   NOT NULL, -- select, open_sealed, converge, promote, rollback, rescore
  generation BIGINT NOT NULL,
  variant    TEXT   NOT NULL,
  evidence   TEXT   NOT NULL, -- JSON
  actor      TEXT   NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (experiment, seq)
);
CREATE TABLE experiment_promotions (
  id          TEXT   NOT NULL PRIMARY KEY,
  account     TEXT   NOT NULL,
  experiment  TEXT   NOT NULL,
  skill       TEXT   NOT NULL,
  variant     TEXT   NOT NULL,
  status      TEXT   NOT NULL, -- promoting, active, replaced, rolling_back, rolled_back, failed
  instance    TEXT   NOT NULL, -- id, or '' until it is made
  given       BIGINT NOT NULL, -- 1 when the caller named the instance
  clean_up    BIGINT NOT NULL,
  previous    TEXT   NOT NULL, -- the promotion that it replaced, or ''
  last_error  TEXT   NOT NULL,
  created_at  BIGINT NOT NULL
);
CREATE INDEX experiment_promotions_by ON experiment_promotions (account, experiment, created_at);

-- +goose Down
DROP TABLE experiment_promotions;
DROP TABLE experiment_decisions;
DROP TABLE experiment_evaluations;
DROP TABLE experiment_variants;
DROP TABLE experiment_generations;
DROP TABLE experiments;
