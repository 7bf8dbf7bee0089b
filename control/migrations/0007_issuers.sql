-- Who signed the certificate before the current one, which is all that a host has whose
-- renewal was not answered.
--
-- The dialect of 0001.

ALTER TABLE hosts ADD COLUMN previous_issuer BIGINT NOT NULL DEFAULT 0;
