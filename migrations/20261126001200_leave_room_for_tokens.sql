-- A token changes once in its life: a refresh token when it is replaced, an access token when it is revoked with it. With
-- room left on its page the new version needs no new entries in the six and seven indexes.
ALTER TABLE oauth2_provider_refreshtoken SET (fillfactor = 50);
ALTER TABLE oauth2_provider_accesstoken SET (fillfactor = 50);
