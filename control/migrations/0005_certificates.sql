-- Renewal, revocation and conflicts of hosts.
--
-- The dialect of 0001.

-- How many keys the host has had; 1 for the one that it enrolled with.
ALTER TABLE hosts ADD COLUMN generation BIGINT NOT NULL DEFAULT 1;
-- Who signed the current certificate: a number of an issuer, 0 for the root.
ALTER TABLE hosts ADD COLUMN issuer BIGINT NOT NULL DEFAULT 0;
-- The key before the current one, which is listened to until that was used.
ALTER TABLE hosts ADD COLUMN previous_key TEXT;
-- When the current key took over, NULL for the first; and whether it was used.
ALTER TABLE hosts ADD COLUMN renewed BIGINT;
ALTER TABLE hosts ADD COLUMN key_used BIGINT NOT NULL DEFAULT 0;
ALTER TABLE hosts ADD COLUMN revoked BIGINT;
ALTER TABLE hosts ADD COLUMN revoked_reason TEXT NOT NULL DEFAULT '';
-- Since when two machines seem to have this identity, and how that was seen.
ALTER TABLE hosts ADD COLUMN conflict BIGINT;
ALTER TABLE hosts ADD COLUMN conflict_reason TEXT NOT NULL DEFAULT '';

-- Keys that were a host's, for as long as a certificate of one may be shown.
CREATE TABLE former_keys (
    host       TEXT NOT NULL,
    key_digest TEXT NOT NULL,
    -- Until when anybody could renew with it.
    until      BIGINT NOT NULL,
    -- 1 where it ended by a revocation: who shows it is refused, and says nothing
    -- about the machine that enrolled under the same id afterwards.
    revoked    BIGINT NOT NULL,
    PRIMARY KEY (host, key_digest)
);
