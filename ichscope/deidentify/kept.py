"""What stays of a CT image. All else is removed: private elements, overlays, free text, and whatever nobody foresaw.

References
----------
PS3.15 2026c, table E.1-1: what may stay, and by which option; a test holds this list against it
PS3.3 A.3 (CT Image), A.38 (Enhanced CT Image), A.8.1 (Secondary Capture Image): what images need
"""

from __future__ import annotations

from typing import Final

CT: Final = {
    "1.2.840.10008.5.1.4.1.1.2": "CT Image Storage",
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT Image Storage",
    "1.2.840.10008.5.1.4.1.1.2.2": "Legacy Converted Enhanced CT Image Storage",
}
SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"

# Codes and numbers; a value that is none by its form goes.
_IMAGE = """
ImageType Modality ConversionType PatientPosition BodyPartExamined Laterality ImageLaterality
SeriesNumber InstanceNumber AcquisitionNumber ImagesInAcquisition TemporalPositionIdentifier NumberOfTemporalPositions
NumberOfFrames PixelSpacing ImagePositionPatient ImageOrientationPatient SliceThickness SliceLocation
SpacingBetweenSlices PositionReferenceIndicator NominalScannedPixelSpacing PixelAspectRatio
SamplesPerPixel PhotometricInterpretation PlanarConfiguration Rows Columns BitsAllocated BitsStored HighBit
PixelRepresentation SmallestImagePixelValue LargestImagePixelValue PixelPaddingValue PixelPaddingRangeLimit
RescaleIntercept RescaleSlope RescaleType WindowCenter WindowWidth VOILUTFunction PresentationLUTShape
LossyImageCompression LossyImageCompressionRatio LossyImageCompressionMethod BurnedInAnnotation
KVP ScanOptions DataCollectionDiameter ReconstructionDiameter DistanceSourceToDetector DistanceSourceToPatient
GantryDetectorTilt TableHeight RotationDirection ExposureTime XRayTubeCurrent Exposure ExposureInuAs FilterType
GeneratorPower FocalSpots ConvolutionKernel AcquisitionType RevolutionTime SingleCollimationWidth
TotalCollimationWidth TableSpeed TableFeedPerRotation SpiralPitchFactor DataCollectionCenterPatient
ReconstructionTargetCenterPatient ExposureModulationType EstimatedDoseSaving CTDIvol
Manufacturer ManufacturerModelName
"""
_ENHANCED = """
PixelPresentation VolumetricProperties VolumeBasedCalculationTechnique ContentQualification PixelMeasuresSequence
SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence PlanePositionSequence PlaneOrientationSequence
FrameContentSequence FrameAcquisitionNumber TemporalPositionIndex StackID InStackPositionNumber DimensionIndexValues
FrameAcquisitionDuration DimensionOrganizationSequence
DimensionIndexSequence DimensionIndexPointer FunctionalGroupPointer DimensionOrganizationType
FrameVOILUTSequence PixelValueTransformationSequence CTImageFrameTypeSequence FrameType CTAcquisitionTypeSequence
TubeAngle ConstantVolumeFlag FluoroscopyFlag CTAcquisitionDetailsSequence CTTableDynamicsSequence CTPositionSequence
TablePosition CTGeometrySequence CTReconstructionSequence ReconstructionAlgorithm ConvolutionKernelGroup
ReconstructionFieldOfView ReconstructionPixelSpacing ReconstructionAngle ImageFilter CTExposureSequence
ExposureTimeInms XRayTubeCurrentInmA ExposureInmAs CTXRayDetailsSequence FilterMaterial
CalciumScoringMassFactorDevice FrameAnatomySequence FrameLaterality AnatomicRegionSequence
IrradiationEventIdentificationSequence ReferencedImageSequence
TemporalPositionSequence TemporalPositionTimeOffset PatientOrientationInFrameSequence
AcquisitionDuration
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


IMAGE: Final = _names(_IMAGE + _ENHANCED)

# Mapped by a keyed hash, the same ones to the same ones.
UIDS: Final = _names(
    "StudyInstanceUID SeriesInstanceUID SOPInstanceUID FrameOfReferenceUID ReferencedSOPInstanceUID ConcatenationUID "
    "SynchronizationFrameOfReferenceUID DimensionOrganizationUID IrradiationEventUID"
)
# Moved by the patient's number of days (option 113107).
DATES: Final = _names(
    "StudyDate SeriesDate AcquisitionDate ContentDate AcquisitionDateTime FrameAcquisitionDateTime "
    "FrameReferenceDateTime"
)
# Of the day only, which the same option leaves.
TIMES: Final = _names("StudyTime SeriesTime AcquisitionTime ContentTime")
# Option 113108.
PATIENT: Final = _names("PatientSex PatientAge PatientSize PatientWeight")
# Option 113109.
DEVICE: Final = _names("DeviceSerialNumber StationName GantryID DetectorID SoftwareVersions")
# Must be there, and may be empty (PS3.3, type 2).
EMPTY: Final = ("PatientBirthDate", "ReferringPhysicianName", "AccessionNumber", "StudyID")
# Class UIDs, which say what an image is.
CLASSES: Final = frozenset(["SOPClassUID", "ReferencedSOPClassUID"])

BODY_PARTS: Final = _names(
    "HEAD BRAIN SKULL HEADNECK NECK CSPINE ORBIT SINUS EAR IAC FACE JAW MAXILLA MANDIBLE SELLA CHEST ABDOMEN PELVIS "
    "SPINE EXTREMITY WHOLEBODY CAROTID CIRCLEOFWILLIS CRANIUM CEREBRUM"
)
# Codes of PS3.16 CID 4030 for regions of the head, by scheme and value; of others the item goes.
REGIONS: Final = {
    ("SCT", "69536005"): "Head",
    ("SCT", "12738006"): "Brain",
    ("SCT", "89546000"): "Skull",
    ("SCT", "774007"): "Head and Neck",
    ("SCT", "45048000"): "Neck",
    ("SRT", "T-D1100"): "Head",
    ("SRT", "T-A0100"): "Brain",
    ("SRT", "T-11100"): "Skull",
    ("SRT", "T-D1000"): "Head and Neck",
    ("SRT", "T-D1600"): "Neck",
}
