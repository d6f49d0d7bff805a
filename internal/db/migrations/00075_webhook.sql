-- +goose Up
CREATE TABLE webhooks (
  id                TEXT   NOT NULL PRIMARY KEY,
  account           TEXT   NOT NULL,
  name              TEXT   NOT NULL,
  template          TEXT   NOT NULL,
  scopes            TEXT   NOT NULL, -- JSON list: the rights of who wrote the template
  enabled           BIGINT NOT NULL,
  token_hash        TEXT   NOT NULL UNIQUE, -- SHA-256 in hexadecimal digits
  signature         TEXT   NOT NULL, -- none, standard, github, stripe
  require_signature BIGINT NOT NULL,
  sealed            TEXT   NOT NULL, -- the signing secrets
  chat_id           TEXT   NOT NULL,
  last_delivery_at  BIGINT NOT NULL,
  created_at        BIGINT NOT NULL,
  updated_at        BIGINT NOT NULL,
  UNIQUE (account, name)
);

-- The template and the rights are those of the moment of receipt, so that a delivery that is tried again says the same.
CREATE TABLE webhook_deliveries (
  id          TEXT   NOT NULL PRIMARY KEY,
  account     TEXT   NOT NULL,
  webhook     TEXT   NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
  sender_id   TEXT   NOT NULL, -- what the sender calls it, the same in every repetition; may be empty
  method      TEXT   NOT NULL, -- POST, GET
  payload     TEXT   NOT NULL,
  template    TEXT   NOT NULL,
  scopes      TEXT   NOT NULL,
  replay_of   TEXT   NOT NULL,
  status      TEXT   NOT NULL, -- queued, running, done, failed
  attempts    BIGINT NOT NULL, -- to say it
  turn_id     TEXT   NOT NULL,
  detail      TEXT   NOT NULL,
  created_at  BIGINT NOT NULL,
  started_at  BIGINT NOT NULL,
  finished_at BIGINT NOT NULL
);
CREATE INDEX webhook_deliveries_of ON webhook_deliveries (webhook, id);
CREATE INDEX webhook_deliveries_open ON webhook_deliveries (account, webhook, id) WHERE finished_at = 0;
CREATE UNIQUE INDEX webhook_deliveries_sender ON webhook_deliveries (webhook, sender_id) WHERE sender_id <> '';

-- +goose Down
DROP TABLE webhook_deliveries;
DROP TABLE webhooks;
