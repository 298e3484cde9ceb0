"""The vault: connections to Airtable, kept with access tokens that are always fresh."""
