"""The operators' service: the fleet, the strategy, tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from coordinator.coordinator import Coordinator
from coordinator.errors import UnknownName
from coordinator.ordering import Order, carry_out
from coordinator.rpc.wire import Malformed
from coordinator.security.access import Access
from coordinator.security.roles import Role
from coordinator.security.tokens import TokenInvalid, TokenRequest
from coordinator.turn import TurnLoop
from coordinator.views import Views, proposed_move
from placement import strategy
from protos import cluster_pb2 as pb
from protos import cluster_pb2_grpc

MOVES_SHOWN = 1000
Context = grpc.aio.ServicerContext[Any, Any]


class ClusterService(cluster_pb2_grpc.ClusterServicer):
    """Cluster: what an operator may ask."""

    def __init__(
        self,
        turns: TurnLoop,
        access: Access,
        now: Callable[[], float],
        advertised: Callable[[], str],
        price_note: Callable[[str, float], str],
    ) -> None:
        """`advertised`: the address in join strings. `price_note`: what is to be said of a site's price, by site."""
        self._turns = turns
        self._access = access
        self._now = now
        self._advertised = advertised
        self._price_note = price_note

    async def ListNodes(self, request: pb.ListNodesRequest, context: Context) -> pb.ListNodesResponse:
        return pb.ListNodesResponse(nodes=Views(self._turns.coordinator).nodes(self._now()))

    async def ListSites(self, request: pb.ListSitesRequest, context: Context) -> pb.ListSitesResponse:
        sites = Views(self._turns.coordinator).sites(self._now())
        for site in sites:
            site.price_note = self._price_note(site.name, self._now())
        return pb.ListSitesResponse(sites=sites)

    async def ListStrategies(self, request: pb.ListStrategiesRequest, context: Context) -> pb.ListStrategiesResponse:
        return pb.ListStrategiesResponse(strategies=strategies(self._turns.coordinator.strategy))

    async def SetStrategy(self, request: pb.SetStrategyRequest, context: Context) -> pb.SetStrategyResponse:
        await self._turns.ask(lambda coordinator, now: coordinator.set_strategy(request.name))
        (chosen,) = [one for one in strategies(request.name) if one.live]
        return pb.SetStrategyResponse(strategy=chosen)

    async def Order(self, request: pb.OrderRequest, context: Context) -> pb.OrderResponse:
        order = _order(request)

        def apply(coordinator: Coordinator, now: float) -> list[pb.ProposedMove]:
            proposed = carry_out(coordinator, order, now, plan=request.plan)
            return [proposed_move(move, coordinator) for move in proposed]

        moves = await self._turns.ask(apply)
        return pb.OrderResponse(moves=moves[:MOVES_SHOWN], moving=len(moves))

    async def CreateToken(self, request: pb.CreateTokenRequest, context: Context) -> pb.CreateTokenResponse:
        try:
            role = Role(request.role)
        except ValueError:
            raise TokenInvalid(f"{request.role!r} is no role: choose node, client, observer or admin") from None
        wanted = TokenRequest(role, request.name, request.ttl_s, request.uses, request.bearer)
        created = await asyncio.to_thread(self._access.create_token, wanted, self._advertised())
        return pb.CreateTokenResponse(
            id=created.id, join=created.join, bearer=created.bearer, expires_us=created.expires_us
        )

    async def ListTokens(self, request: pb.ListTokensRequest, context: Context) -> pb.ListTokensResponse:
        return pb.ListTokensResponse(
            tokens=[
                pb.Token(
                    id=token.id,
                    role=token.role.value,
                    name=token.name,
                    bearer=token.bearer,
                    uses_left=token.uses_left,
                    expires_us=token.expires_us,
                )
                for token in self._access.list_tokens()
            ]
        )


def _order(request: pb.OrderRequest) -> Order:
    match request.WhichOneof("order"):
        case "drain_node":
            return Order(node=request.drain_node)
        case "resume_node":
            return Order(node=request.resume_node, on=False)
        case "curtail_site":
            return Order(site=request.curtail_site)
        case "release_site":
            return Order(site=request.release_site, on=False)
        case "set_price":
            return Order(site=request.set_price.site, price_usd_per_kwh=request.set_price.price_usd_per_kwh)
        case _:
            raise Malformed("an order says what to do: drain, resume, set a price, curtail or release")


def strategies(live: str) -> list[pb.Strategy]:
    """Every installed strategy, by name."""
    found = []
    for name in strategy.names():
        one = strategy.load(name)
        found.append(pb.Strategy(name=name, family=one.family, rule=one.rule, live=name == live))
    return found


def finder(parameters: Callable[[str], dict[str, Any]]) -> Callable[[str], strategy.Strategy]:
    """Finds strategies by name, with the configuration's parameters. Raises `UnknownName`."""

    def find(name: str) -> strategy.Strategy:
        try:
            return strategy.load(name, parameters(name))
        except strategy.UnknownStrategy as unknown:
            raise UnknownName(str(unknown)) from unknown

    return find
