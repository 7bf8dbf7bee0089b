-- Operators, the certificates they logged in with, and what was done by whom.
--
-- The same dialect as 0001: TEXT and BIGINT only, times in microseconds since
-- 1970, digests in lower case hex.

CREATE TABLE operators (
    name       TEXT PRIMARY KEY,
    -- viewer, deployer or admin.
    role       TEXT NOT NULL,
    -- base64 of the Ed25519 public key that signs logins; '' for the first admin,
    -- whose certificate lies in the data directory.
    login_key  TEXT NOT NULL,
    added      BIGINT NOT NULL,
    -- '' for the control plane itself.
    added_by   TEXT NOT NULL,
    last_login BIGINT,
    -- NULL as long as the operator is one. The row stays; a name that is added again
    -- begins anew.
    revoked    BIGINT,
    revoked_by TEXT
);

-- A certificate that is not here speaks for no operator, whatever it says.
CREATE TABLE operator_certificates (
    -- SHA-256 of the public key (SubjectPublicKeyInfo).
    key_digest TEXT PRIMARY KEY,
    operator   TEXT NOT NULL,
    issued     BIGINT NOT NULL,
    expires    BIGINT NOT NULL
);

CREATE INDEX operator_certificates_by_operator ON operator_certificates (operator, issued);

-- Only ever appended to. Each row's hash covers the row before it, so that none can
-- be changed or left out without changing all that follow.
CREATE TABLE audit_log (
    -- 1, 2, 3, …
    number  BIGINT PRIMARY KEY,
    at      BIGINT NOT NULL,
    -- operator/NAME, host/ID, control, or '' for who showed no certificate.
    actor   TEXT NOT NULL,
    -- An operator's role at that time, else ''.
    role    TEXT NOT NULL,
    -- The IP address that the call came from; '' for the control plane itself.
    address TEXT NOT NULL,
    -- SERVICE/METHOD, or what the control plane did by itself.
    action  TEXT NOT NULL,
    -- What it was done to.
    target  TEXT NOT NULL,
    -- ok, or a gRPC status code's name.
    outcome TEXT NOT NULL,
    -- Why not; '' where it was done.
    reason  TEXT NOT NULL,
    hash    TEXT NOT NULL
);

CREATE INDEX audit_log_by_actor ON audit_log (actor, number);
