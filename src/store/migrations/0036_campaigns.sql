-- What more than one has asked for is not withdrawn with the campaign of one of them.
ALTER TABLE request ADD COLUMN shared {INT} NOT NULL DEFAULT 0; -- 1: asked for again while it waited

-- Sign-ins at providers whose answer is not there yet: there is a ceiling of them.
CREATE INDEX provider_sign_in_asking ON provider_sign_in (address, created_at) WHERE state = 'asking';
