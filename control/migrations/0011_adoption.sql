-- Machines that ran before floe knew them: nothing is sent to such a host until an operator
-- has seen what would change on it and said yes.
--
-- The dialect of 0001.

ALTER TABLE join_tokens ADD COLUMN adopts BIGINT NOT NULL DEFAULT 0;

-- Since when it waits for that yes; NULL for a host that does not.
ALTER TABLE hosts ADD COLUMN adopted BIGINT;
