"""A product that connects its users to Airtable."""
