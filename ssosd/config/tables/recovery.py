"""Parameters of what is measured on the pixels at known places: trails, and recovery."""

from __future__ import annotations

from ssosd.config.kinds import Number, Switch
from ssosd.config.parameter import Parameter

_SECTION, _STAGE = "Trails and recovery", "analysis"

ENTRIES: tuple[Parameter, ...] = (
    Parameter(
        name="FIT_TRAILS",
        section=_SECTION,
        stage=_STAGE,
        default="1",
        kind=Number(low=0, high=100, unset="FALSE"),
        unit="FWHM",
        help="Trails longer than this are measured along their length, FALSE for none",
        doc="A candidate's trail (rate times exposure time) that is longer than so many FWHM of the "
        "exposure's stars is fitted on the pixels with their shape drawn along it: position, errors, flux "
        "and magnitude of the detection are then the trail's (FLAGS_SSOS 64), and the rates follow from "
        "them. SExtractor finds a part of a faint trail, or several. `FALSE` leaves its measures.",
    ),
    Parameter(
        name="FIT_MAGS",
        section=_SECTION,
        stage=_STAGE,
        default="True",
        kind=Switch(),
        help="Calibrated magnitudes of light in the shape of the stars",
        doc="Fits the shape of the exposure's stars, drawn along the motion, at the place of each detection "
        "of a candidate: MAG_CALIB and its error are of that light (FLAGS_SSOS 256), which has little more "
        "than half of the noise of MAG_AUTO below SNR 15. Where other light is in it MAG_CALIB is blank, if "
        "two or more detections of the candidate have one. Sources brighter in SExtractor's apertures by "
        "more than 0.1 mag and 4 sigma, as comets are, keep its magnitudes, and have EXTENDED. A detection "
        "of which a star at rest covers more than half gets larger errors, FLAGS_SSOS 512 and the MPC's "
        "note I. `False` leaves SExtractor's magnitudes and errors.",
    ),
    Parameter(
        name="RECOVER",
        section=_SECTION,
        stage=_STAGE,
        default="True",
        kind=Switch(),
        help="Measure candidates in exposures without a detection of them",
        doc="Looks at each candidate's predicted place in every exposure in which it was not detected, and "
        "writes to recovered.csv what is there: its light, or that it is too faint, behind a star, "
        "saturated, or off the detector. The same look decides on what is doubtful:\n\n"
        "- A source of the tracklet linker that chance may have made (N_CHANCE above 0.03) is no candidate "
        "if that light is missing: less than 0.4 of what its magnitude lets expect.\n"
        "- Sources with N_CHANCE up to 20 are sought, not only up to 1; those above 1 are candidates if all "
        "their light together that lies farther than half a FWHM from their detections exceeds RECOVER_SNR. "
        "Where they move by more than that and no exposure can tell, those up to 2 are.\n"
        "- Where a source fainter than 10 sigma was detected, it is looked again after it has left: if a "
        "fifth of its light or more is still there, it is a star at rest, detected now and then.\n"
        "- What stands at one place of the detector while the sky moves is a candidate if its light has the "
        "shape of a star, as of an object that the telescope followed, and not that of a hot pixel. Without "
        "RECOVER it is none.\n\n"
        "What is refused is in the table `rejections` of the store, under RECOVER.",
    ),
    Parameter(
        name="RECOVER_SNR",
        section=_SECTION,
        stage=_STAGE,
        default="3.5",
        kind=Number(low=0, above=True, high=100),
        help="Significance at which light at the predicted place is the candidate's",
        doc="Light at the predicted place counts as measured when it is so many times the noise of the sky; "
        "below, the candidate is too faint, and this multiple of the noise is its limit. An empty sky "
        "exceeds 3.5 once in 4300 places.",
    ),
)
