from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import tiny_model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny_model.build(folder, name="cranioscan")
    return folder
