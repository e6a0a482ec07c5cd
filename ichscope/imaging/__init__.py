"""Files, ZIPs, DICOM and pictures into series of slices in Hounsfield units, checked, and ready for a model."""
