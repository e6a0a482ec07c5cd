"""List what runs ICHScope: packages, models and licences, into build/sbom.

Command: make sbom. Writes sbom.cdx.json (CycloneDX 1.6) and licences.md. Packages are those of requirements-run.lock as
they are installed in .venv; licences are what their metadata declare.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from ichscope import __version__
from ichscope.models.card import CARD_FILE, ModelCard

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements-run.lock"
# Licences that ask for no more than their notice, by SPDX identifier, and what older metadata call them.
# "BSD" is what those with two or three clauses are called without a number.
PERMISSIVE = {"0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "MIT-CMU"}
PERMISSIVE |= {"PSF-2.0", "Zlib"}
OLDER_NAMES = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}

Component = dict[str, Any]


def main(folder: Path = ROOT / "build/sbom") -> None:
    """Write both files into a folder."""
    bom = environment()
    keep(bom, wanted(LOCK))
    bom["metadata"]["component"]["version"] = __version__
    bom["components"] += [*model_components(ROOT / "models")]
    text = json.dumps(bom, indent=1)
    if (problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)) is not None:
        sys.exit(f"the list of parts is not CycloneDX: {problem}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sbom.cdx.json").write_text(text, encoding="utf-8")
    (folder / "licences.md").write_text(licence_report(bom["components"]), encoding="utf-8")


def environment() -> dict[str, Any]:
    """All that is installed beside this interpreter, as CycloneDX."""
    command = ["-m", "cyclonedx_py", "environment", "--pyproject", "pyproject.toml", "--gather-license-texts"]
    command += ["--sv", "1.6", "--no-validate", "--output-reproducible", sys.executable]
    found: dict[str, Any] = json.loads(
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    )
    return found


def wanted(lock: Path) -> dict[str, str]:
    """Package -> version, of a lock's packages that are installed here: those for other systems are not.

    Raises
    ------
    SystemExit
        if another version is installed than the lock has
    """
    pins = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", lock.read_text(encoding="utf-8"), re.MULTILINE))
    installed = {canonicalize_name(found.name): found.version for found in metadata.distributions()}
    pins = {name: version for name, version in pins.items() if name in installed}
    if other := {name for name, version in pins.items() if installed[canonicalize_name(name)] != version}:
        sys.exit(f"not installed as {lock.name} has them: {', '.join(sorted(other))}; run `make install`")
    return pins


def keep(bom: dict[str, Any], names: Mapping[str, str]) -> None:
    """Leave out what is installed for training, tests and documents only."""
    bom["components"] = [part for part in bom["components"] if canonicalize_name(part["name"]) in names]
    kept = {part["bom-ref"] for part in (*bom["components"], bom["metadata"]["component"])}
    bom["dependencies"] = [
        edge | {"dependsOn": [ref for ref in edge.get("dependsOn", ()) if ref in kept]}
        for edge in bom["dependencies"]
        if edge["ref"] in kept
    ]


def model_components(models: Path) -> Iterator[Component]:
    """The trained models, with the SHA-256 of their files as their cards have them."""
    for path in sorted(models.glob(f"*/{CARD_FILE}")):
        card = ModelCard.read(path.parent)
        files = [
            {"type": "file", "name": name, "hashes": [{"alg": "SHA-256", "content": content}]}
            for name, content in card.sha256.items()
        ]
        yield {
            "type": "machine-learning-model",
            "bom-ref": f"model:{card.name}",
            "name": card.name,
            "version": card.version,
            "description": card.description,
            "components": files,
        }


def licences(part: Component) -> list[str]:
    """Licences that a package declares: SPDX expressions where it has them, else the best name that it gives."""
    declared = [entry.get("license", entry) for entry in part.get("licenses", ())]
    if spdx := {entry.get("expression") or entry.get("id") for entry in declared} - {None}:
        return sorted(spdx)
    names = {entry["name"].rpartition(" :: ")[2] for entry in declared if " :: " in entry["name"]}
    names = names or {_first_line(entry) for entry in declared if "license file" not in entry["name"]}
    return sorted(OLDER_NAMES.get(name, name) for name in names)


def permissive(names: list[str]) -> bool:
    """Whether everything named is on the list of permissive licences; what nothing is declared of is not."""
    parts = {part for name in names for part in re.split(r"\s+(?:AND|OR)\s+|[()]", name) if part}
    return bool(parts) and parts <= PERMISSIVE


def licence_report(components: list[Component]) -> str:
    """Markdown: what is not permissive first, then everything."""
    packages = [part for part in components if part["type"] == "library"]
    rows = {part["name"]: f"| {part['name']} | {part['version']} | {', '.join(licences(part))} |" for part in packages}
    others = [part["name"] for part in packages if not permissive(licences(part))]
    head = ["| package | version | licence |", "| --- | --- | --- |"]
    return "\n".join([
        f"# Licences of what runs ICHScope {__version__}", "",
        "As the packages declare them; files inside a package can have terms of their own, which lie beside them.", "",
        "## Not permissive", "", *head, *(rows[name] for name in others), "",
        "## All", "", *head, *rows.values(), "",
    ])  # fmt: skip


def _first_line(declared: Mapping[str, Any]) -> str:
    text = declared.get("text")
    if text is None:
        return str(declared["name"])
    content = base64.b64decode(text["content"]).decode() if text.get("encoding") == "base64" else text["content"]
    return str(content).strip().partition("\n")[0].strip()


if __name__ == "__main__":
    main()
