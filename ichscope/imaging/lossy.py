"""How strongly an image was compressed with loss: by the header, by its transfer syntax and by its bytes."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import UID

from ichscope.imaging.elements import DicomError, describe, numbers, text
from ichscope.imaging.series import Finding, FindingLevel

# JPEG Baseline and Extended with their retired forms, JPEG-LS near-lossless, JPEG 2000 (may be without loss), HTJ2K.
_LOSSY = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 52, 53, 54, 55, 56, 81, 91, 93, 203))
# Canadian Association of Radiologists, standards for irreversible compression, 2011: CT of the head 8:1 (JPEG 2000).
MOST_RATIO = 8.0
# Two whole RSNA heads in JPEG 2000 (packed bytes to compressed): at 21:1 brain is off by 1.8 and 3.5 HU on average, and
# no slice's probability by CranioScan changes by more than 0.14; at 43:1 by 3.2 and 5.9 HU (9.6 in the worst slice),
# and a slice's by 0.50; at 133:1 by 10 and 15 HU, and 0.76. Blood differs from brain by some 30 HU.
UNUSABLE_RATIO = 32.0


def lossy_findings(dataset: Dataset, syntax: UID, pixel_bytes: int, image_bytes: float) -> tuple[Finding, ...]:
    """What loss by compression is said or seen.

    Parameters
    ----------
    pixel_bytes : length of the encoded pixels
    image_bytes : length of the same image, packed without compression

    Examples
    --------
    >>> from pydicom.uid import ExplicitVRLittleEndian
    >>> dataset = Dataset()
    >>> dataset.LossyImageCompression, dataset.LossyImageCompressionRatio = "01", 69
    >>> [finding.level.value for finding in lossy_findings(dataset, ExplicitVRLittleEndian, 100, 100)]
    ['not analysable']
    """
    said = _ratio(dataset)
    by_bytes = image_bytes / max(1, pixel_bytes) if syntax in _LOSSY else 0.0
    lost = text(dataset, "LossyImageCompression") in ("01", "1", "YES")
    ratio = max(said, by_bytes)
    if not (lost or said > 1 or syntax in _LOSSY):
        return ()
    where = f"{describe('LossyImageCompressionRatio')}" if said >= by_bytes and said else describe("TransferSyntaxUID")
    if ratio > MOST_RATIO:
        words = f"{where}: found pixels compressed with loss at {ratio:.0f}:1, expected at most {MOST_RATIO:.0f}:1; "
        if ratio > UNUSABLE_RATIO:
            words += "Hounsfield units are off by as much as bleeds differ from brain"
            return (Finding(FindingLevel.NOT_ANALYSABLE, "lossy", words),)
        return (Finding(FindingLevel.WARNING, "lossy", words + "Hounsfield units are blurred"),)
    if not ratio:
        words = f"{describe('LossyImageCompression')}: found 01 (with loss) without a ratio, expected "
        words += f"{describe('LossyImageCompressionRatio')}; Hounsfield units may be blurred"
        return (Finding(FindingLevel.WARNING, "lossy", words),)
    return (Finding(FindingLevel.OK, "lossy", f"{where}: compressed with loss at {ratio:.1f}:1"),)


def _ratio(dataset: Dataset) -> float:
    """The largest ratio that the header gives; of several steps each counts for the whole (PS3.3 C.7.6.1.1.5.2)."""
    try:
        return max(numbers(dataset, "LossyImageCompressionRatio", "") or (0.0,))
    except DicomError:
        return 0.0
