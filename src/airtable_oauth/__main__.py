"""`python -m airtable_oauth`."""

from airtable_oauth.cli import main

main()
