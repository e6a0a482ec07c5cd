"""The pages: the file in views/, its title in the menu, and the right that it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ichscope.access import Right

# For whoever may open it; all others begin on the Worklist.
FRONT: Final = "study_check"
PAGES: Final[Mapping[str, tuple[str, Right]]] = {
    "study_check": ("Study check", Right.ANALYSE),
    "worklist": ("Worklist", Right.SEE),
    "archive": ("Archive", Right.ANALYSE),
    "cohort": ("Cohort", Right.SEE),
    "performance": ("Performance", Right.SEE),
    "monitoring": ("Monitoring", Right.SEE),
    "models": ("Models", Right.SEE),
    "users": ("Users", Right.USERS),
    "audit_trail": ("Audit trail", Right.TRAIL),
}
