"""Results as DICOM objects: report, key images, picture and evidence map, for the picture archive.

`headers` reads again what the files of a series say of patient, study and slices; `study` makes the objects of it and
of what the models say. highdicom, which writes them, takes seconds to load: nothing of it is imported here.
"""

from importlib.util import find_spec


def is_available() -> bool:
    """Whether highdicom is installed: it comes with the extra `pacs`."""
    return find_spec("highdicom") is not None
