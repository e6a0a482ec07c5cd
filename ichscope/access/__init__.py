"""Who may do what: roles and their rights, the person or program that acts, passwords. Data and rules only."""

from ichscope.access.actor import Actor, NotAllowedError, Via, acting_as, by_default, current_actor, named, operator
from ichscope.access.roles import RIGHTS, Right, Role

__all__ = [
    "RIGHTS",
    "Actor",
    "NotAllowedError",
    "Right",
    "Role",
    "Via",
    "acting_as",
    "by_default",
    "current_actor",
    "named",
    "operator",
]
