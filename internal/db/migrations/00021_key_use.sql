-- +goose Up
ALTER TABLE api_keys ADD COLUMN last_used_at BIGINT NOT NULL DEFAULT 0; -- to the minute

-- +goose Down
ALTER TABLE api_keys DROP COLUMN last_used_at;
