"""A simulator of Airtable for development and tests: OAuth, the consent page and the Web API.

It follows Airtable's public reference strictly, with the exceptions that docs/simulator.md names.
It holds all data in memory.
"""

from airtable_oauth.simulator.app import Simulator, some_users
from airtable_oauth.simulator.faults import Fault
from airtable_oauth.simulator.guard import is_loopback
from airtable_oauth.simulator.model import Clock, Integration, User

__all__ = ["Clock", "Fault", "Integration", "Simulator", "User", "is_loopback", "some_users"]
