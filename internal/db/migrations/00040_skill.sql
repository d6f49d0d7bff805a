-- +goose Up
CREATE TABLE skills (
  id         TEXT   NOT NULL PRIMARY KEY,
  account    TEXT   NOT NULL,
  name       TEXT   NOT NULL,
  version    BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (account, name)
);
-- A version never changes. Its files are in the store under the digest; the other columns are what was read from them.
CREATE TABLE skill_versions (
  account     TEXT   NOT NULL,
  skill       TEXT   NOT NULL,
  version     BIGINT NOT NULL,
  digest      TEXT   NOT NULL,
  description TEXT   NOT NULL,
  requires    TEXT   NOT NULL,
  files       TEXT   NOT NULL,
  warnings    TEXT   NOT NULL,
  verdict     TEXT   NOT NULL,
  source      TEXT   NOT NULL,
  revision    TEXT   NOT NULL,
  created_at  BIGINT NOT NULL,
  PRIMARY KEY (account, skill, version)
);
CREATE INDEX skill_versions_digest ON skill_versions (digest);
-- What came with the program: the row stays when the skill is deleted, so that it is not brought back.
CREATE TABLE skill_seeds (
  account TEXT NOT NULL,
  name    TEXT NOT NULL,
  skill   TEXT NOT NULL,
  digest  TEXT NOT NULL,
  PRIMARY KEY (account, name)
);

-- +goose Down
DROP TABLE skill_seeds;
DROP TABLE skill_versions;
DROP TABLE skills;
