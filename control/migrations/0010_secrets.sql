-- The secrets of roles, sealed. What is here opens for hosts, and for the escrow key, which is
-- no row.
--
-- The dialect of 0001. Only the newest set of a role is kept: an older one is refused by hosts.

CREATE TABLE secret_sets (
    role      TEXT PRIMARY KEY,
    epoch     BIGINT NOT NULL,
    serial    BIGINT NOT NULL,
    -- base64, sealed to the escrow key; '' where it was not.
    escrow    TEXT NOT NULL,
    -- How many secrets there are.
    count     BIGINT NOT NULL,
    publisher TEXT NOT NULL,
    published BIGINT NOT NULL
);

CREATE TABLE sealed_secrets (
    host   TEXT PRIMARY KEY,
    role   TEXT NOT NULL,
    epoch  BIGINT NOT NULL,
    serial BIGINT NOT NULL,
    -- X25519 public key that they are sealed to, base64.
    key    TEXT NOT NULL,
    -- base64.
    sealed TEXT NOT NULL
);

-- What hosts say of themselves.
CREATE TABLE sealing_keys (
    host        TEXT PRIMARY KEY,
    key         TEXT NOT NULL,
    -- When it was said first.
    since       BIGINT NOT NULL,
    -- NULL where the host has none.
    held_epoch  BIGINT,
    held_serial BIGINT,
    -- Why it does not have what it was sent; '' where it has.
    problem     TEXT NOT NULL
);
