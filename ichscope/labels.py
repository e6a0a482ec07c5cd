"""The six RSNA 2019 haemorrhage labels, in the one order used by every array in ICHScope."""

from typing import Final

LABELS: Final = ("any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
SUBTYPES: Final = LABELS[1:]

DISPLAY_NAMES: Final = {
    "any": "Any haemorrhage",
    "epidural": "Epidural (EDH)",
    "intraparenchymal": "Intraparenchymal (IPH)",
    "intraventricular": "Intraventricular (IVH)",
    "subarachnoid": "Subarachnoid (SAH)",
    "subdural": "Subdural (SDH)",
}
