-- Whether an operator asked that hosts try again what they went back from before.
--
-- The dialect of 0001.

ALTER TABLE rollouts ADD COLUMN retry BIGINT NOT NULL DEFAULT 0;
