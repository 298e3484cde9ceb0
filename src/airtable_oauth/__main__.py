"""`python -m airtable_oauth`."""

from airtable_oauth.cli.main import main

main()
