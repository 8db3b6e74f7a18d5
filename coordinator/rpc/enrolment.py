"""Enrolment: the one call that the holder of a join secret may make."""

import asyncio
from typing import Any

import grpc
import structlog

from coordinator.rpc.gate import current_identity
from coordinator.security.access import Access, EnrolmentRefused
from coordinator.security.registry import Reason
from protos.cluster_pb2 import JoinRequest, JoinResponse
from protos.cluster_pb2_grpc import EnrolmentServicer

log = structlog.get_logger(__name__)

_STATUS = {
    Reason.UNKNOWN: grpc.StatusCode.PERMISSION_DENIED,
    Reason.EXPIRED: grpc.StatusCode.PERMISSION_DENIED,
    Reason.USED: grpc.StatusCode.PERMISSION_DENIED,
    Reason.NAME_TAKEN: grpc.StatusCode.ALREADY_EXISTS,
    Reason.NAME_FIXED: grpc.StatusCode.PERMISSION_DENIED,
    Reason.NAME_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.REQUEST_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
}


class Enrolment(EnrolmentServicer):
    def __init__(self, access: Access) -> None:
        self._access = access

    async def Join(self, request: JoinRequest, context: grpc.aio.ServicerContext[Any, Any]) -> JoinResponse:
        token_id = current_identity().name  # a joiner is called by the id of its join string
        outcome = await asyncio.to_thread(self._access.enrol, token_id, request.csr_der, request.name)
        if isinstance(outcome, EnrolmentRefused):
            log.warning("join refused", token=token_id, reason=outcome.reason.value)
            await context.abort(_STATUS[outcome.reason], outcome.sentence)
        log.info("joined", name=outcome.name, role=outcome.role.value, token=token_id)
        return JoinResponse(
            certificate_pem=outcome.certificate_pem,
            authority_pem=self._access.authority.certificate_pem,
            role=outcome.role.value,
            name=outcome.name,
        )
