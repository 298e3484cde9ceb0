"""OAuth 2.0 with Airtable: PKCE, requests and answers, the token endpoint, logins."""
