-- +goose Up
CREATE TABLE accounts (
  id         TEXT   NOT NULL PRIMARY KEY,
  name       TEXT   NOT NULL,
  user_id    TEXT   NOT NULL,
  created_at BIGINT NOT NULL
);
-- Only hashes of keys are stored: 32 random bytes need no slow hash.
CREATE TABLE api_keys (
  id         TEXT   NOT NULL PRIMARY KEY,
  account    TEXT   NOT NULL REFERENCES accounts (id),
  name       TEXT   NOT NULL,
  prefix     TEXT   NOT NULL,
  hash       TEXT   NOT NULL UNIQUE,
  scopes     TEXT   NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX api_keys_account ON api_keys (account, id);

-- +goose Down
DROP TABLE api_keys;
DROP TABLE accounts;
