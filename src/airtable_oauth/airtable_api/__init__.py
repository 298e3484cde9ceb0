"""Airtable's Web API: where requests may go, and how fast."""
