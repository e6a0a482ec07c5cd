"""One uncompressed CT image into other transfer syntaxes."""

import tempfile
import zlib
from io import BytesIO
from pathlib import Path

import gdcm
import numpy as np
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

LOSSLESS = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
)
LOSSY = (JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000)
EIGHT_BIT = (JPEGBaseline8Bit,)
_NAMES_IN_GDCM = {
    JPEGBaseline8Bit: "JPEGBaselineProcess1",
    JPEGExtended12Bit: "JPEGExtendedProcess2_4",
    JPEGLossless: "JPEGLosslessProcess14",
    JPEGLosslessSV1: "JPEGLosslessProcess14_1",
    JPEGLSLossless: "JPEGLSLossless",
    JPEGLSNearLossless: "JPEGLSNearLossless",
}


def to_bytes(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def encode(plain: bytes, syntax: UID) -> bytes:
    """An Explicit VR Little Endian file with 16-bit pixels in another transfer syntax."""
    dataset = dcmread(BytesIO(plain))
    if syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian):
        dataset.file_meta.TransferSyntaxUID = syntax
        return to_bytes(dataset)
    if syntax == ExplicitVRBigEndian:
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        buffer = BytesIO()
        dcmwrite(buffer, dataset, implicit_vr=False, little_endian=False)
        return buffer.getvalue()
    if syntax == DeflatedExplicitVRLittleEndian:
        return deflate(plain)
    if syntax in (RLELossless, JPEG2000Lossless):
        dataset.compress(syntax, generate_instance_uid=False)
        return to_bytes(dataset)
    if syntax == JPEG2000:
        dataset.compress(syntax, j2k_cr=[4], generate_instance_uid=False)
        return to_bytes(dataset)
    return _with_gdcm(plain, _NAMES_IN_GDCM[syntax])


def deflate(plain: bytes, body: bytes | None = None) -> bytes:
    """PS3.5 A.5: file meta group as it is, all behind it one deflate stream."""
    start = 144 + int.from_bytes(plain[140:144], "little")
    meta = dcmread(BytesIO(plain)).file_meta
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    empty = Dataset()
    empty.file_meta = meta
    buffer = BytesIO()
    dcmwrite(buffer, empty, enforce_file_format=True)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    head = buffer.getvalue()
    head = head[: 144 + int.from_bytes(head[140:144], "little")]
    return head + packer.compress(plain[start:] if body is None else body) + packer.flush()


def _with_gdcm(plain: bytes, name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before"), Path(folder, "after")
        before.write_bytes(plain)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(before))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, name)))
        if name == "JPEGLSNearLossless":
            codec = gdcm.JPEGLSCodec()
            codec.SetLossless(False)
            codec.SetLossyError(2)
            change.SetUserCodec(codec)
        if name.startswith(("JPEGBaseline", "JPEGExtended")):
            codec = gdcm.JPEGCodec()
            codec.SetLossless(False)
            codec.SetQuality(98)
            change.SetUserCodec(codec)
        change.SetInput(reader.GetImage())
        assert change.Change(), f"gdcm has no encoder for {name}"
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(after))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return after.read_bytes()
