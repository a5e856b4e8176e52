-- ACME accounts, renewal information (RFC 9773).
ALTER TABLE issuer ADD COLUMN eab_sealed {BLOB};                          -- key of the external account binding, for the signer alone
