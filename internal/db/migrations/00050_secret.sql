-- +goose Up
-- sealed is the value under the key that only the process knows; the rest is readable.
CREATE TABLE secrets (
  id          TEXT    NOT NULL PRIMARY KEY,
  account     TEXT    NOT NULL,
  name        TEXT    NOT NULL,
  description TEXT    NOT NULL,
  is_global   INTEGER NOT NULL,
  hosts       TEXT    NOT NULL,
  version     BIGINT  NOT NULL,
  sealed      TEXT    NOT NULL,
  created_at  BIGINT  NOT NULL,
  updated_at  BIGINT  NOT NULL,
  UNIQUE (account, name)
);
CREATE TABLE secret_grants (
  account    TEXT   NOT NULL,
  secret     TEXT   NOT NULL,
  instance   TEXT   NOT NULL,
  name       TEXT   NOT NULL,
  granted_at BIGINT NOT NULL,
  PRIMARY KEY (account, secret, instance)
);
CREATE INDEX secret_grants_instance ON secret_grants (account, instance);
-- A known text under each master key, which tells a wrong key at the start. It belongs to no account.
CREATE TABLE key_checks (
  id         TEXT   NOT NULL PRIMARY KEY,
  account    TEXT   NOT NULL,
  sealed     TEXT   NOT NULL,
  created_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE key_checks;
DROP TABLE secret_grants;
DROP TABLE secrets;
