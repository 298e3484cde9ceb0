"""An Airtable to develop and test against: its OAuth rules, its consent page, its Web API.

It follows Airtable's public reference strictly and forgets everything when it stops.
"""

from airtable_oauth.simulator.app import Simulator, some_users
from airtable_oauth.simulator.faults import Fault
from airtable_oauth.simulator.guard import is_loopback
from airtable_oauth.simulator.model import Clock, Integration, User

__all__ = ["Clock", "Fault", "Integration", "Simulator", "User", "is_loopback", "some_users"]
