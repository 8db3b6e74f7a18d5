"""Everything that can go wrong for a user, on one screen, sorted by whose fault it is.

Each error is one sentence that says what to do, and knows the exit code of the command that meets it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grpc.aio import AioRpcError


class EdgewardError(Exception):
    """The root of the tree, and ours: a fault of the coordinator or of this client."""

    exit_code = 1


# The caller's.


class InvalidJob(EdgewardError, ValueError):
    """The job, an option or an argument is malformed; nothing was accepted."""

    exit_code = 2


class UnknownJob(EdgewardError):
    """The coordinator knows nothing by this id or name."""

    exit_code = 2


class KeyConflict(EdgewardError):
    """This key was used before, for other work; nothing was accepted."""

    exit_code = 2


class Unauthorised(EdgewardError):
    """No credential, one that is not of this coordinator, or one whose role does not allow the call."""

    exit_code = 4


# The world's.


class Unreachable(EdgewardError):
    """The coordinator does not answer; accepted jobs go on without us."""

    exit_code = 3


class InvalidAddress(Unreachable):
    """What was given is no address at all."""

    exit_code = 2


class TimedOut(EdgewardError, TimeoutError):
    """The time that the caller gave is over; the job goes on."""

    exit_code = 6


# How a job ended, other than well.


class Refused(EdgewardError):
    """No registered node could ever run the job.

    `survivors` holds how many nodes were left after each rule, in order, `relaxation` the least that would admit it.
    """

    exit_code = 5

    def __init__(self, reason: str, survivors: Sequence[tuple[str, int]] = (), relaxation: str | None = None) -> None:
        super().__init__(sentence(reason, relaxation))
        self.reason = reason
        self.survivors = list(survivors)
        self.relaxation = relaxation


def sentence(reason: str, relaxation: str | None) -> str:
    """A refusal and the way out of it, as one."""
    if not relaxation:
        return reason
    return f"{reason} {relaxation}" if reason.endswith(".") else f"{reason}; {relaxation}"


class JobFailed(EdgewardError):
    exit_code = 1


class Cancelled(EdgewardError):
    exit_code = 1


class Expired(EdgewardError):
    """The deadline passed before the job was done."""

    exit_code = 6


BY_STATUS: dict[str, type[EdgewardError]] = {
    "INVALID_ARGUMENT": InvalidJob,
    "NOT_FOUND": UnknownJob,
    "ALREADY_EXISTS": KeyConflict,
    "UNAUTHENTICATED": Unauthorised,
    "PERMISSION_DENIED": Unauthorised,
    "FAILED_PRECONDITION": Refused,
    "UNAVAILABLE": Unreachable,
    "DEADLINE_EXCEEDED": TimedOut,
}
PASSING = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")  # worth another try


def is_passing(error: "AioRpcError") -> bool:
    if error.code().name == "INTERNAL":  # what gRPC calls a message written to a stream that had just broken
        return "Internal error from Core" in (error.details() or "")
    return error.code().name in PASSING and not _is_about_certificates(error)


def from_rpc(error: "AioRpcError", address: str) -> EdgewardError:
    """The error of our tree for a failed call to the coordinator at `address`."""
    status, details = error.code().name, (error.details() or "").strip()
    if _is_about_certificates(error):
        return _stranger(address, details)
    if status == "UNAVAILABLE":
        return unreachable(address, details)
    if status == "DEADLINE_EXCEEDED":
        return TimedOut(f"The coordinator at {address} did not answer in time: try again, or allow more.")
    if status == "UNIMPLEMENTED":
        return EdgewardError(
            f"The coordinator at {address} does not know this call: install one version on both sides."
        )
    if status in BY_STATUS:
        return BY_STATUS[status](details or f"The coordinator at {address} answered {status}.")
    return EdgewardError(f"The coordinator at {address} failed at this call ({status}: {details}); its log says why.")


def _stranger(address: str, details: str) -> Unauthorised:
    if "not yet valid" in details or "has expired" in details:
        return Unauthorised(
            f"The certificate of the coordinator at {address} is not valid at this hour: check both clocks."
        )
    return Unauthorised(
        f"The coordinator at {address} and these credentials do not belong together: "
        "ask its operator for a join string and run `edgeward login JOIN`."
    )


def never_connected(error: "AioRpcError", address: str) -> EdgewardError:
    """As `from_rpc`, after seconds without a connection: a peer that keeps hanging up does not trust us."""
    details = error.details() or ""
    return _stranger(address, details) if "Socket closed" in details else from_rpc(error, address)


def unreachable(address: str, details: str = "") -> Unreachable:
    reason = next((short for sign, short in REASONS.items() if sign in details), "")
    return Unreachable(
        f"No coordinator answers at {address}{reason}: start one with `edgeward coordinator`, "
        "or name another with --coordinator or EDGEWARD_COORDINATOR."
    )


REASONS = {
    "Connection refused": " (connection refused)",
    "Domain name not found": " (no such host)",
    "DNS resolution failed": " (no such host)",
    "No route to host": " (no route to it)",
    "Network is unreachable": " (the network is unreachable)",
}


def _is_about_certificates(error: "AioRpcError") -> bool:
    details = error.details() or ""
    return error.code().name == "UNAVAILABLE" and any(
        sign in details for sign in ("CERTIFICATE_VERIFY_FAILED", "Hostname Verification", "tlsv1 alert", "TLSV1_ALERT")
    )
