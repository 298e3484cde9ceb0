"""OAuth 2.0 with Airtable: PKCE, requests and responses, the token endpoint, logins."""
