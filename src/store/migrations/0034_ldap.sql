-- Directories (LDAP) beside OpenID providers.
ALTER TABLE identity_provider ADD COLUMN kind {TEXT} NOT NULL DEFAULT 'oidc'; -- oidc, ldap
ALTER TABLE identity_provider ADD COLUMN directory {TEXT};                    -- ldap: openapi Directory, as JSON

-- What they typed when a directory last let them in: whose tries the next ones of that name are.
ALTER TABLE user_identity ADD COLUMN login {TEXT};
CREATE INDEX user_identity_login ON user_identity (provider_id, login) WHERE login IS NOT NULL;
