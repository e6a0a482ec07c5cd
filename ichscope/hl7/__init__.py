"""HL7 v2 over MLLP: what the hospital's information system says is taken and answered; results go out the same way."""
