"""Airtable's Web API: the transport, the paths it allows, and the rate limit."""
