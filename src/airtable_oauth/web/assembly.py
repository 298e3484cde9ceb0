"""Puts the routes of an integration together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter

from airtable_oauth.airtable_api.transport import WebApi
from airtable_oauth.oauth.login import Logins
from airtable_oauth.oauth.token_endpoint import TokenEndpoint
from airtable_oauth.oauth.unbound_login import UnboundLogins
from airtable_oauth.runtime import Runtime
from airtable_oauth.settings import Settings
from airtable_oauth.stores import Store
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.vault.assembly import Vault
from airtable_oauth.web.callers import Callers
from airtable_oauth.web.cookies import LoginCookies, SessionCookie
from airtable_oauth.web.host_callers import HostCallers
from airtable_oauth.web.readiness import Readiness
from airtable_oauth.web.routers.authorization import AuthorizationRoutes
from airtable_oauth.web.routers.connections import ConnectionsRoutes
from airtable_oauth.web.routers.health import HealthRoutes
from airtable_oauth.web.routers.node_compat import NodeCompatRoutes
from airtable_oauth.web.routers.proxy import ProxyRoutes
from airtable_oauth.web.routers.session import SessionRoutes
from airtable_oauth.web.routers.tokens import ExchangeRoutes, RefreshRoutes
from airtable_oauth.web.session_callers import SessionCallers
from airtable_oauth.web.sessions import Sessions


@dataclass(frozen=True, slots=True)
class RouteBuilder:
    """What the routes of an integration are built from."""

    settings: Settings
    store: Store
    store_clock: StoreClock
    token_endpoint: TokenEndpoint
    web_api: WebApi
    vault: Vault
    owner: Callable[..., Any] | None
    """A dependency of the host, described at `AirtableOAuth`. None if browsers have sessions."""
    login_data: Callable[..., Any] | None
    """Another dependency of the host. None if `owner` is None, or if the host has no such data."""
    runtime: Runtime

    def build(self) -> tuple[Callers, APIRouter]:
        """Build the callers, and a router with all routes."""
        logins = self._logins()
        callers = self._callers(logins)
        routers = self._routers(callers, logins)
        return callers, APIRouter(routes=[route for each in routers for route in each.routes])

    def _routers(self, callers: Callers, logins: Logins) -> Iterator[APIRouter]:
        settings, vault = self.settings, self.vault
        by_host = self.owner is not None
        login_cookies = self._login_cookies()
        yield AuthorizationRoutes(
            callers=callers, logins=logins, login_cookies=login_cookies, by_host=by_host
        ).router
        yield SessionRoutes(
            callers=callers,
            logins=logins,
            login_cookies=login_cookies,
            grants=vault.grants,
            connections=vault.connections,
            scopes=settings.scopes,
            by_host=by_host,
        ).router
        if by_host:
            yield ConnectionsRoutes(
                callers=callers, connections=vault.connections, scopes=settings.scopes
            ).router
        yield ProxyRoutes(
            callers=callers,
            access_tokens=vault.access_tokens,
            web_api=self.web_api,
            patience=settings.upstream_timeout,
            name=settings.name,
            by_host=by_host,
        ).router
        if settings.expose_tokens and not by_host:
            yield ExchangeRoutes(callers=callers, logins=logins, login_cookies=login_cookies).router
            yield RefreshRoutes(self.token_endpoint).router
        if settings.node_compat and not by_host:
            yield NodeCompatRoutes(
                logins=self._unbound_logins(), token_endpoint=self.token_endpoint
            ).router
        yield HealthRoutes(self._readiness()).router

    def _callers(self, logins: Logins) -> Callers:
        settings, vault = self.settings, self.vault
        origins = (*settings.allowed_origins, settings.own_origin)
        if self.owner is not None:
            return HostCallers(
                owner=self.owner,
                login_data=self.login_data,
                connections=vault.connections,
                lifecycle=vault.lifecycle,
                origins=origins,
            )
        return SessionCallers(
            cookie=SessionCookie(
                name=settings.name, secure=settings.secure, max_age=settings.session_max_ttl
            ),
            sessions=self._sessions(),
            logins=logins,
            connections=vault.connections,
            lifecycle=vault.lifecycle,
            origins=origins,
        )

    def _logins(self) -> Logins:
        return Logins(
            store=self.store,
            token_endpoint=self.token_endpoint,
            name=self.settings.name,
            ttl=self.settings.login_ttl,
            random=self.runtime.random,
            background=self.runtime.background,
            sleep=self.runtime.sleep,
            store_seconds=self.settings.store_patience,
        )

    def _unbound_logins(self) -> UnboundLogins:
        return UnboundLogins(
            store=self.store,
            token_endpoint=self.token_endpoint,
            name=self.settings.name,
            ttl=self.settings.login_ttl,
            random=self.runtime.random,
        )

    def _login_cookies(self) -> LoginCookies:
        return LoginCookies(
            name=self.settings.name,
            secure=self.settings.secure,
            max_age=self.settings.login_ttl,
            clock=self.runtime.clock,
        )

    def _sessions(self) -> Sessions:
        return Sessions(
            store=self.store,
            name=self.settings.name,
            clock=self.store_clock,
            prolong=self.vault.lifecycle.prolong,
            idle_ttl=self.settings.session_idle_ttl,
            max_ttl=self.settings.session_max_ttl,
            random=self.runtime.random,
        )

    def _readiness(self) -> Readiness:
        return Readiness(
            store=self.store,
            name=self.settings.name,
            background=self.runtime.background,
            seconds=self.settings.store_patience,
            monotonic=self.runtime.monotonic,
            random=self.runtime.random,
        )
