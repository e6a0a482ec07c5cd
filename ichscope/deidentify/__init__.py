"""CT without its patient: the basic profile of DICOM PS3.15 E, by a list of what stays."""
