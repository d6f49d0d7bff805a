-- +goose Up
-- The rights of whoever wrote the prompt: a run has these and no others. Rows from before have none until they are written anew.
ALTER TABLE automations ADD COLUMN scopes TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE automations DROP COLUMN scopes;
