-- Machines on EC2: images and the roles that they give, who enrolled once, and who
-- waits for an operator.
--
-- The dialect of 0001.

-- The only way from an image to a role.
CREATE TABLE images (
    -- In which account and region instances are launched from it.
    account TEXT NOT NULL,
    region  TEXT NOT NULL,
    -- ami-…
    id      TEXT NOT NULL,
    role    TEXT NOT NULL,
    adder   TEXT NOT NULL,
    added   BIGINT NOT NULL,
    PRIMARY KEY (account, region, id)
);

-- Each instance enrols once. A row stays when the host is forgotten.
CREATE TABLE instances (
    account    TEXT NOT NULL,
    region     TEXT NOT NULL,
    -- i-…, the host's id.
    id         TEXT NOT NULL,
    image      TEXT NOT NULL,
    -- SHA-256 of the key that it enrolled with.
    key_digest TEXT NOT NULL,
    -- As its document says when it was started.
    pending    BIGINT NOT NULL,
    enrolled   BIGINT NOT NULL,
    PRIMARY KEY (account, region, id)
);

-- Who asked and did not get in by itself. Bound to the key: what is approved is this
-- machine with this key, once.
CREATE TABLE approvals (
    host       TEXT NOT NULL,
    key_digest TEXT NOT NULL,
    account    TEXT NOT NULL,
    region     TEXT NOT NULL,
    image      TEXT NOT NULL,
    -- pending, approved or denied.
    state      TEXT NOT NULL,
    -- By its image, or as approved; '' where nobody knows.
    role       TEXT NOT NULL,
    -- Sentences for people, as a JSON array.
    reasons    TEXT NOT NULL,
    address    TEXT NOT NULL,
    asked      BIGINT NOT NULL,
    decider    TEXT NOT NULL,
    -- NULL while it is pending.
    decided    BIGINT,
    -- When an approval was used up.
    used       BIGINT,
    PRIMARY KEY (host, key_digest)
);

CREATE INDEX approvals_by_age ON approvals (state, asked);
