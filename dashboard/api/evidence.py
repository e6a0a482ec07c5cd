"""Evidence of a model: where in the head it has seen what it says, as a volume or as a picture of one slice."""

from __future__ import annotations

import io
from enum import StrEnum
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Response
from numpy.typing import NDArray
from PIL import Image

from dashboard import cached
from dashboard.api.description import refusals
from dashboard.api.refusals import RefusalError, demand
from dashboard.api.studies import Key
from ichscope.access import Right
from ichscope.access.events import Action, Kind
from ichscope.imaging.preprocess import Box
from ichscope.results import ModelResult, SeriesResult, top_slices
from ichscope.store import Store, StoreError, volumes

router = APIRouter()
# Brain window; orange of Okabe and Ito, which colour-blind people see, half over the grey where evidence is full.
_LEVEL_HU, _WIDTH_HU = 40, 80
_COLOUR, _OPACITY = (230, 159, 0), 0.6
_NIFTI, _PNG = "application/octet-stream", "image/png"
_NOT_KEPT = {404: "The pictures of this study are not kept.", 422: "format: Input should be 'nifti' or 'png'."}


class Form(StrEnum):
    """What evidence is given as."""

    NIFTI = "nifti"
    PNG = "png"


@router.get(
    "/studies/{key}/evidence",
    summary="Where a model has seen something",
    response_class=Response,
    responses=refusals(_NOT_KEPT)
    | {
        200: {
            "description": "NIfTI of all slices, or a PNG of the slice with the highest probability of any haemorrhage",
            "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in (_NIFTI, _PNG)},
        }
    },
)
def evidence(
    key: Key,
    form: Annotated[Form, Query(alias="format")] = Form.NIFTI,
    model: Annotated[str, Query(description="Name of a model; if not given, the one that knows most labels.")] = "",
) -> Response:
    """Give the evidence of the series that speaks for the study; that it leaves is a line of the audit trail."""
    demand(Right.EXPORT, Action.EXPORTED, Kind.EXPORT, "evidence")
    store = cached.store()
    result = _kept(store, store.worklist.keyed(key).id)
    of_model = _model(result, model)
    made = _png(result, of_model) if form is Form.PNG else _nifti(result, of_model)
    store.trail.record(Right.EXPORT, Action.EXPORTED, Kind.EXPORT, "evidence", format=form.value, study=key)
    if form is Form.PNG:
        return Response(made, media_type=_PNG)
    name = f"{key}-{of_model.name}.nii"
    return Response(made, 200, {"content-disposition": f'attachment; filename="{name}"'}, _NIFTI)


def _kept(store: Store, study: int) -> SeriesResult:
    store.results.load(study, voxels=False)  # where the store itself fails, that is another matter
    try:
        return store.results.load(study)
    except StoreError as error:
        raise RefusalError(404, str(error)) from None


def _model(result: SeriesResult, name: str) -> ModelResult:
    if not result.models:
        raise RefusalError(404, "No model has judged this study.")
    chosen = result.models.get(name) if name else max(result.models.values(), key=lambda model: len(model.probability))
    if chosen is None:
        raise RefusalError(404, f"No such model has judged this study; found {', '.join(result.models)}.")
    if result.volume is None or result.box is None or chosen.evidence.shape[1:] == (1, 1):  # a stand-in of the store
        raise RefusalError(404, "The pictures of this study are not kept.")
    return chosen


def _nifti(result: SeriesResult, model: ModelResult) -> bytes:
    """Evidence as (columns, rows, slices) float32, 0 to 1, at its place in mm, as the store's volumes have theirs."""
    import nibabel

    assert result.volume is not None
    assert result.box is not None
    place = cell_affine(volumes.affine(result.volume), result.box, model.evidence.shape[1:])
    image = nibabel.Nifti1Image(model.evidence.transpose(2, 1, 0), place)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    made: bytes = image.to_bytes()
    return made


def cell_affine(affine: NDArray[np.float64], box: Box, grid: tuple[int, ...]) -> NDArray[np.float64]:
    """Cell (column, row, slice) of a grid over a box to mm, where `affine` is that of the pixels the box counts.

    Examples
    --------
    >>> cell_affine(np.eye(4), Box(top=10, left=20, height=28, width=28), (14, 14)) @ [0, 0, 0, 1]
    array([20.5, 10.5,  0. ,  1. ])
    """
    high, wide = box.height / grid[0], box.width / grid[1]
    cells = np.diag([wide, high, 1.0, 1.0])
    # The centre of a cell, counted from the centre of the first pixel.
    cells[:2, 3] = box.left + wide / 2 - 0.5, box.top + high / 2 - 0.5
    placed: NDArray[np.float64] = affine @ cells
    return placed


def _png(result: SeriesResult, model: ModelResult) -> bytes:
    """Draw the slice with the highest probability: grey in the brain window, evidence in orange over it."""
    assert result.volume is not None
    assert result.box is not None
    (top,) = top_slices(model.slice_probability["any"], 1)
    drawn = io.BytesIO()
    _drawn(result.volume.hu[top], model.evidence[top], result.box).save(drawn, "PNG")
    return drawn.getvalue()


def _drawn(hu: NDArray[np.int16], evidence: NDArray[np.float32], box: Box) -> Image.Image:
    """Draw (rows, columns) int16 HU, with (h, w) float32 evidence over its box."""
    grey = np.clip((hu - (_LEVEL_HU - _WIDTH_HU / 2)) / _WIDTH_HU, 0, 1)
    picture = Image.fromarray(np.rint(255 * grey).astype(np.uint8)).convert("RGB")
    small = Image.fromarray(np.rint(255 * _OPACITY * np.clip(evidence, 0, 1)).astype(np.uint8))
    size = max(1, round(box.width)), max(1, round(box.height))
    mask = Image.new("L", picture.size)
    mask.paste(small.resize(size, Image.Resampling.BILINEAR), (round(box.left), round(box.top)))
    picture.paste(_COLOUR, mask=mask)
    return picture
