"""Random interleavings of refresh, expiry, disconnect, outage, crash and restart.

A connection is lost only if its tokens never reached the store. A refresh token is sent twice only
if a marker records an earlier attempt of unknown outcome.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from airtable_oauth.errors import AirtableOAuthError, NotConnected, ReconnectRequired
from airtable_oauth.simulator import Fault
from airtable_oauth.vault.model import Reason, StoredConnection
from airtable_oauth.vault.repository import ConnectionRepository
from tests.world import Process, VirtualTime, World

PROCESSES = st.integers(0, 2)
FAULTS: list[dict[str, Any]] = [{"drop": True}, {"status": 500}, {"junk": "html"}, {"status": 429}]


class VaultStates(RuleBasedStateMachine):
    """Three processes with one connection, and random events that affect them."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.time = VirtualTime()
        self.world = World(clock=self.time)
        self.world.sleep = self.time.sleep  # type: ignore[method-assign] # only rules advance the clock
        self.records = ConnectionRepository(self.world.store, "airtable")
        self.sent: Counter[str] = Counter()
        self.losses = 0
        """Token pairs that Airtable issued and that could not be stored."""
        self.revoked = self.disconnected = False
        self.commit_faults: list[Fault] = []
        self.calls: list[asyncio.Task[Any]] = []
        self.processes = [self.new_process() for _ in range(3)]
        self.id = self.run(self.world.connect())

    def new_process(self) -> Process:
        process = self.world.process()
        process.refresher.sleep = self.time.sleep
        process.line.before = self.watched(process)
        process.line.gate = None  # type: ignore[attr-defined] # only this test has a gate
        return process

    def watched(self, process: Process) -> Callable[[httpx.Request], Awaitable[None]]:
        async def before(request: httpx.Request) -> None:
            token = httpx.QueryParams(request.content.decode())["refresh_token"]
            found = await self.records.load(self.id)
            if found is not None and found.record.refresh_token == token:
                marker = found.record.marker
                assert marker is not None, "a refresh token is sent without a marker"
                assert marker.attempts > self.sent[token], "it is sent again without a new marker"
            self.sent[token] += 1
            gate = process.line.gate  # type: ignore[attr-defined]
            if gate is not None:
                await gate.wait()

        return before

    def run(self, work: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(work)

    def spin(self, turns: int) -> None:
        async def turn() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.run(turn())

    # Events

    @rule(process=PROCESSES, turns=st.integers(0, 40))
    def a_caller_uses_the_connection(self, process: int, turns: int) -> None:
        call = self.processes[process].access_tokens.ensure_fresh(self.id)
        self.calls.append(self.loop.create_task(call))
        self.spin(turns)

    @rule(process=PROCESSES, turns=st.integers(0, 40))
    def a_caller_is_rejected(self, process: int, turns: int) -> None:
        async def call() -> None:
            access_tokens = self.processes[process].access_tokens
            used = await access_tokens.ensure_fresh(self.id)
            await access_tokens.ensure_fresh(self.id, rejected=used)

        self.calls.append(self.loop.create_task(call()))
        self.spin(turns)

    @rule(turns=st.integers(1, 60))
    def time_is_given(self, turns: int) -> None:
        self.spin(turns)

    @rule(seconds=st.sampled_from([0.1, 1.0, 11.0, 15.0, 61.0, 700.0, 3601.0]))
    def time_passes(self, seconds: float) -> None:
        self.time.advance(seconds)
        self.spin(5)

    @rule(process=PROCESSES)
    def a_request_is_held_up(self, process: int) -> None:
        self.release(self.processes[process])
        self.processes[process].line.gate = asyncio.Event()  # type: ignore[attr-defined]

    @rule(process=PROCESSES, turns=st.integers(0, 40))
    def a_request_gets_through(self, process: int, turns: int) -> None:
        self.release(self.processes[process])
        self.spin(turns)

    @rule(process=PROCESSES, down=st.booleans())
    def a_store_comes_and_goes(self, process: int, down: bool) -> None:  # noqa: FBT001 (a rule)
        self.processes[process].store.down = down

    @rule(process=PROCESSES, verb=st.sampled_from(["replace", "add", "get", "discard"]))
    def a_reply_is_lost(self, process: int, verb: str) -> None:
        self.processes[process].store.lost.add(verb)

    @rule(process=PROCESSES, cut=st.booleans())
    def a_line_comes_and_goes(self, process: int, cut: bool) -> None:  # noqa: FBT001 (a rule)
        self.processes[process].line.cut = cut

    @rule(fault=st.sampled_from(FAULTS), commit=st.booleans())
    def airtable_fails(self, fault: dict[str, Any], commit: bool) -> None:  # noqa: FBT001 (a rule)
        planned = self.world.fault(commit=commit, **fault)
        if commit:
            self.commit_faults.append(planned)

    @rule(process=PROCESSES, turns=st.integers(0, 40))
    def a_caller_uses_the_connection_and_leaves(self, process: int, turns: int) -> None:
        self.a_caller_uses_the_connection(process, turns)
        self.calls[-1].cancel()
        self.spin(1)

    @rule(process=PROCESSES, turns=st.integers(0, 40))
    def a_caller_is_rejected_and_leaves(self, process: int, turns: int) -> None:
        self.a_caller_is_rejected(process, turns)
        self.calls[-1].cancel()
        self.spin(1)

    @rule(process=PROCESSES)
    def a_process_dies(self, process: int) -> None:
        """Simulate `kill -9`: the process stops reaching the store and Airtable."""
        dying = self.processes[process]
        if dying.refresher._running:  # noqa: SLF001 (a token pair may be in flight)
            self.losses += 1
        dying.store.down = True
        dying.line.cut = True
        for task in list(dying.background._tasks):  # noqa: SLF001 (its tasks end with it)
            task.cancel()
        self.spin(5)
        self.processes[process] = self.new_process()

    @precondition(lambda self: not self.revoked)
    @rule(really=st.sampled_from([False] * 9 + [True]))
    def the_user_removes_the_integration(self, really: bool) -> None:  # noqa: FBT001 (a rule)
        if really:
            self.revoked = True
            self.world.simulator.vault.revoke_all()

    @precondition(lambda self: not self.disconnected)
    @rule(really=st.sampled_from([False] * 9 + [True]))
    def the_user_disconnects(self, really: bool) -> None:  # noqa: FBT001 (a rule)
        if really:
            self.disconnected = True
            self.run(self.world.first.lifecycle.disconnect(self.id))

    # Invariants

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self.judge()
        finally:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.spin(50)
            self.loop.close()

    def judge(self) -> None:
        self.recover()
        end = self.settled()
        self.losses += sum(fault.fired for fault in self.commit_faults)
        if self.disconnected:
            assert isinstance(end, NotConnected), end
        elif self.revoked:
            assert isinstance(end, ReconnectRequired), end
            assert end.reason in (Reason.REVOKED, Reason.ROTATION_LOST)
        elif isinstance(end, ReconnectRequired):
            assert self.losses > 0, "a connection that could be kept was lost"
            assert end.reason == Reason.ROTATION_LOST
        else:
            assert self.world.works(end.access_token)

    def recover(self) -> None:
        self.world.simulator.faults.clear()
        for process in self.processes:
            process.store.down = process.line.cut = False
            process.store.lost.clear()
            self.release(process)
        for _ in range(600):
            self.spin(10)
            if self.is_quiet():
                break
            self.time.advance(0.5)
        assert self.is_quiet(), "a call waits for ever"
        for call in self.calls:
            if not call.cancelled() and (error := call.exception()) is not None:
                assert isinstance(error, AirtableOAuthError), error

    def is_quiet(self) -> bool:
        busy = any(process.background._tasks for process in self.processes)  # noqa: SLF001
        return not busy and all(call.done() for call in self.calls)

    def settled(self) -> Any:
        """The result of a call once everything works again: a record, or a definite error."""
        for _ in range(30):
            self.time.advance(700)
            call = self.loop.create_task(self.call())
            while not call.done():
                self.spin(10)
                self.time.advance(0.1)
            error = call.exception()
            if error is None:
                return call.result()
            if isinstance(error, NotConnected | ReconnectRequired):
                return error
        raise AssertionError("the outcome never becomes definite")

    async def call(self) -> StoredConnection:
        """Use the Web API with the current token, or after a 401 with a newer one."""
        access_tokens = self.processes[0].access_tokens
        used = await access_tokens.ensure_fresh(self.id)
        if self.world.works(used.access_token):
            return used
        return await access_tokens.ensure_fresh(self.id, rejected=used)

    def release(self, process: Process) -> None:
        gate = process.line.gate  # type: ignore[attr-defined]
        if gate is not None:
            gate.set()
        process.line.gate = None  # type: ignore[attr-defined]


def test_no_connection_is_lost_that_could_be_kept() -> None:
    """This holds for every event, in any order."""
    run_state_machine_as_test(
        VaultStates,
        settings=settings(
            max_examples=2 * settings().max_examples,
            stateful_step_count=40,
            suppress_health_check=list(HealthCheck),
        ),
    )
