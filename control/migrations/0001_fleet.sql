-- Hosts, manifests and join tokens.
--
-- One dialect for SQLite and PostgreSQL: TEXT and BIGINT only, times in
-- microseconds since 1970, digests in lower case hex, bytes in base64. A time
-- that has not come yet is NULL; what a host has not said yet is ''.

CREATE TABLE hosts (
    id                  TEXT PRIMARY KEY,
    role                TEXT NOT NULL,
    -- SHA-256 of the public key (SubjectPublicKeyInfo) in the current certificate.
    key_digest          TEXT NOT NULL,
    certificate_serial  TEXT NOT NULL,
    certificate_expires BIGINT NOT NULL,
    enrolled            BIGINT NOT NULL,
    last_seen           BIGINT,
    agent_version       TEXT NOT NULL,
    system              TEXT NOT NULL,
    -- The toplevel that runs, as the host said last.
    running             TEXT NOT NULL,
    confirmed_epoch     BIGINT,
    confirmed_serial    BIGINT,
    confirmed_manifest  TEXT
);

CREATE INDEX hosts_by_role ON hosts (role, id);

CREATE TABLE manifests (
    -- SHA-256 of the signed bytes.
    digest         TEXT PRIMARY KEY,
    role           TEXT NOT NULL,
    epoch          BIGINT NOT NULL,
    serial         BIGINT NOT NULL,
    -- base64 of the DSSE envelope, byte for byte as it was handed in.
    envelope       TEXT NOT NULL,
    payload_digest TEXT NOT NULL,
    payload_length BIGINT NOT NULL,
    publisher      TEXT NOT NULL,
    begun          BIGINT NOT NULL,
    -- NULL until the payload was seen to be there.
    published      BIGINT,
    UNIQUE (role, epoch, serial)
);

CREATE TABLE join_tokens (
    -- SHA-256 of the token; the token itself is nowhere.
    digest   TEXT PRIMARY KEY,
    role     TEXT NOT NULL,
    -- The only host that may use it; NULL for any that is not enrolled.
    host     TEXT,
    creator  TEXT NOT NULL,
    created  BIGINT NOT NULL,
    expires  BIGINT NOT NULL,
    used     BIGINT,
    -- By whom, so that the same key gets the same answer again.
    used_by  TEXT,
    used_key TEXT
);
