-- +goose Up
-- A chat's id may be made by its client, so that it is unique within the account only.
CREATE TABLE chats (
  account    TEXT   NOT NULL,
  id         TEXT   NOT NULL,
  title      TEXT   NOT NULL,
  last_seq   BIGINT NOT NULL, -- of its messages
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (account, id)
);
CREATE INDEX chats_updated ON chats (account, updated_at, id);
CREATE TABLE messages (
  account    TEXT   NOT NULL,
  chat_id    TEXT   NOT NULL,
  seq        BIGINT NOT NULL,
  id         TEXT   NOT NULL,
  role       TEXT   NOT NULL, -- user, assistant
  parts      TEXT   NOT NULL,
  metadata   TEXT   NOT NULL,
  pending    BIGINT NOT NULL, -- 1 for an answer whose turn has not ended
  cut        BIGINT NOT NULL, -- 1 for what an edit or a regeneration took out of the chat
  created_at BIGINT NOT NULL,
  PRIMARY KEY (account, chat_id, seq)
);
CREATE UNIQUE INDEX messages_id ON messages (account, chat_id, id) WHERE cut = 0;
CREATE TABLE turns (
  id          TEXT   NOT NULL PRIMARY KEY,
  account     TEXT   NOT NULL,
  chat_id     TEXT   NOT NULL,
  user_seq    BIGINT NOT NULL, -- the message that it answers
  answer_seq  BIGINT NOT NULL, -- the message that it makes
  message_id  TEXT   NOT NULL, -- the id of that
  status      TEXT   NOT NULL, -- queued, running, done, failed, stopped
  stop        BIGINT NOT NULL, -- 1 once somebody asked for its end
  model       TEXT   NOT NULL,
  actor       TEXT   NOT NULL,
  sealed      TEXT   NOT NULL, -- what is masked in the messages and needed until the turn ends
  steps       BIGINT NOT NULL,
  usage       TEXT   NOT NULL,
  error       TEXT   NOT NULL,
  created_at  BIGINT NOT NULL,
  started_at  BIGINT NOT NULL,
  finished_at BIGINT NOT NULL
);
CREATE INDEX turns_chat ON turns (account, chat_id, answer_seq);
CREATE INDEX turns_active ON turns (account, chat_id, answer_seq) WHERE status IN ('queued', 'running');

-- +goose Down
DROP TABLE turns;
DROP TABLE messages;
DROP TABLE chats;
