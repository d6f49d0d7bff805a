-- +goose Up
CREATE TABLE instances (
  id          TEXT   NOT NULL PRIMARY KEY,
  account     TEXT   NOT NULL,
  name        TEXT   NOT NULL,
  name_key    TEXT   NOT NULL, -- the name in lower case; the id while it is being deleted, so that the name is free
  kind        TEXT   NOT NULL,
  status      TEXT   NOT NULL, -- what is wanted; the platform makes it so
  change      BIGINT NOT NULL, -- counts changes of what is wanted: work for an older change is not recorded
  ready       BIGINT NOT NULL, -- 1 once its files were made
  restarts    BIGINT NOT NULL,
  labels      TEXT   NOT NULL,
  driver      TEXT   NOT NULL,
  isolation   TEXT   NOT NULL,
  checkpoint  TEXT   NOT NULL, -- the repository that it begins with, or ''
  source      TEXT   NOT NULL, -- the instance that it is a clone of, or ''
  experiment  TEXT   NOT NULL,
  revision    BIGINT NOT NULL, -- of its config
  last_error  TEXT   NOT NULL,
  effect      TEXT   NOT NULL, -- the effect that made it: the same effect makes nothing twice
  last_effect TEXT   NOT NULL, -- the last effect that restarted it
  created_at  BIGINT NOT NULL,
  updated_at  BIGINT NOT NULL,
  started_at  BIGINT NOT NULL,
  UNIQUE (account, name_key),
  UNIQUE (account, effect)
);
CREATE TABLE instance_configs (
  account    TEXT   NOT NULL,
  instance   TEXT   NOT NULL,
  revision   BIGINT NOT NULL,
  config     TEXT   NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (instance, revision)
);
CREATE TABLE instance_skills (
  account  TEXT   NOT NULL,
  instance TEXT   NOT NULL,
  skill    TEXT   NOT NULL, -- id
  name     TEXT   NOT NULL,
  version  BIGINT NOT NULL,
  digest   TEXT   NOT NULL,
  withhold TEXT   NOT NULL, -- JSON list of patterns of files that the instance does not get
  placed   TEXT   NOT NULL, -- the digest of the files that lie in the instance, or ''
  PRIMARY KEY (instance, skill)
);
CREATE INDEX instance_skills_of ON instance_skills (account, skill);

-- +goose Down
DROP TABLE instance_skills;
DROP TABLE instance_configs;
DROP TABLE instances;
