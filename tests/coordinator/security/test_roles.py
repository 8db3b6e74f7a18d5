"""One table says who may call what; it and the wire name the same calls."""

from coordinator.security.roles import METHODS, Role
from tests.coordinator.security.door import WIRE

CHANGING = {"Submit", "Session", "Cancel", "SetStrategy", "CreateToken", "Connect", "Join"}


def callable_by(role: Role) -> set[str]:
    return {path.rpartition("/")[2] for path, roles in METHODS.items() if role in roles}


def test_roles_every_method_of_the_wire_has_a_row_and_every_row_a_method() -> None:
    assert set(METHODS) == set(WIRE)


def test_roles_an_observer_only_reads() -> None:
    assert callable_by(Role.OBSERVER)
    assert not callable_by(Role.OBSERVER) & CHANGING


def test_roles_a_node_may_only_connect() -> None:
    assert callable_by(Role.NODE) == {"Connect"}


def test_roles_the_holder_of_a_join_secret_may_only_join() -> None:
    assert callable_by(Role.JOINER) == {"Join"}


def test_roles_only_an_admin_changes_the_cluster() -> None:
    admins_only = callable_by(Role.ADMIN) - callable_by(Role.CLIENT)
    assert admins_only == {"SetStrategy", "Order", "CreateToken", "ListTokens"}
