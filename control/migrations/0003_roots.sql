-- The trust root, version after version; none is ever changed or removed.
--
-- The same dialect as 0001.

CREATE TABLE trust_roots (
    version   BIGINT PRIMARY KEY,
    -- SHA-256 of the signed bytes.
    digest    TEXT NOT NULL,
    -- base64 of the DSSE envelope, byte for byte as it was handed in.
    envelope  TEXT NOT NULL,
    -- The operator who published it; '' for the repository's trust.json.
    publisher TEXT NOT NULL,
    published BIGINT NOT NULL
);

-- Why nobody new may get the rollout's manifest; NULL where everybody may.
ALTER TABLE rollouts ADD COLUMN withdrawn TEXT;
