-- Rollouts, activations and what they wrote.
--
-- The same dialect as 0001: TEXT and BIGINT only, times in microseconds since
-- 1970, digests in lower case hex; 0 and 1 for no and yes.

CREATE TABLE rollouts (
    -- The number in the id `r-<number>`.
    number          BIGINT PRIMARY KEY,
    role            TEXT NOT NULL,
    epoch           BIGINT NOT NULL,
    serial          BIGINT NOT NULL,
    manifest_digest TEXT NOT NULL,
    payload_digest  TEXT NOT NULL,
    state           TEXT NOT NULL,
    -- Sentences for people, as a JSON array.
    reasons         TEXT NOT NULL,
    started         BIGINT NOT NULL,
    -- NULL while it runs.
    ended           BIGINT
);

CREATE INDEX rollouts_by_role ON rollouts (role, number);

CREATE TABLE rollout_hosts (
    rollout   BIGINT NOT NULL,
    host      TEXT NOT NULL,
    -- 1 for the canary's wave.
    wave      BIGINT NOT NULL,
    -- untouched, offline, assigned, an activation's phase, or its outcome.
    standing  TEXT NOT NULL,
    reason    TEXT NOT NULL,
    unchanged BIGINT NOT NULL,
    build_ms  BIGINT NOT NULL,
    -- When it was told; NULL while it is untouched.
    assigned  BIGINT,
    PRIMARY KEY (rollout, host)
);

CREATE INDEX rollout_hosts_by_host ON rollout_hosts (host, rollout);

-- One attempt of one host, as its agent named it.
CREATE TABLE activations (
    host            TEXT NOT NULL,
    id              TEXT NOT NULL,
    -- 0 where it was never said, as for a manifest that was not believed.
    epoch           BIGINT NOT NULL,
    serial          BIGINT NOT NULL,
    -- '' until it is said.
    manifest_digest TEXT NOT NULL,
    phase           TEXT NOT NULL,
    -- '' while it runs.
    outcome         TEXT NOT NULL,
    reason          TEXT NOT NULL,
    running         TEXT NOT NULL,
    -- When it was first heard of, by the control plane's clock.
    started         BIGINT NOT NULL,
    -- NULL while it runs.
    ended           BIGINT,
    unchanged       BIGINT NOT NULL,
    build_ms        BIGINT NOT NULL,
    PRIMARY KEY (host, id)
);

CREATE INDEX activations_by_host ON activations (host, started);

-- Lines in pieces of as many as came together. Of an activation that wrote too
-- much the middle is missing: `first` jumps.
CREATE TABLE activation_output (
    host       TEXT NOT NULL,
    activation TEXT NOT NULL,
    -- Number of the piece's first line, from 1.
    first      BIGINT NOT NULL,
    lines      BIGINT NOT NULL,
    -- How many bytes the activation wrote up to here.
    upto       BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    phase      TEXT NOT NULL,
    -- The lines, each followed by a newline.
    text       TEXT NOT NULL,
    PRIMARY KEY (host, activation, first)
);
