-- Which NARs a closure consists of, as its signed payload lists them.
--
-- The dialect of 0001. Kept by payload and not by manifest, so that one that is said
-- again (--revert, --renew) is known. Who may fetch one is who is assigned the payload.

CREATE TABLE closure_nars (
    -- SHA-256 of the payload that lists it.
    payload TEXT NOT NULL,
    -- SHA-256 of the compressed NAR.
    nar     TEXT NOT NULL,
    -- Its length in bytes.
    length  BIGINT NOT NULL,
    PRIMARY KEY (payload, nar)
);
