"""The vault: connections of owners to Airtable, whose access tokens are always fresh."""
