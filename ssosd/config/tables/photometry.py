"""Parameters of the calibration of magnitudes."""

from __future__ import annotations

from ssosd.config.kinds import Pattern, Words
from ssosd.config.parameter import Parameter

_SECTION, _STAGE = "Photometry", "analysis"
#: Bands that magnitudes can be brought to, by the MPC's letters: Johnson-Cousins, Sloan, Gaia.
BANDS = "VRIgriG"
_BAND = Pattern(
    expression=f"AUTO|[{BANDS}BUzyw]", description="AUTO | a letter of the MPC's for a band", metavar="BAND"
)

ENTRIES: tuple[Parameter, ...] = (
    Parameter(
        name="AST_CAT",
        section=_SECTION,
        stage=_STAGE,
        default="AUTO",
        kind=Pattern(
            expression=r"AUTO|[A-Za-z][A-Za-z0-9_.]{1,9}",
            description="AUTO | the MPC's name of a catalogue (Gaia3, PS1_DR2, UCAC5)",
            metavar="NAME",
        ),
        help="The MPC's name of the reference catalogue, AUTO where SCAMP's tells",
        doc="What the reference catalogue of ASTREF_CATALOG is called in drafts, for positions (astCat) and "
        "for magnitudes (photCat): one of the MPC's list, such as `Gaia3`. `AUTO` translates the names of "
        "catalogues that SCAMP downloads; a file of your own is of no known catalogue until it is named "
        "here, and no magnitudes are calibrated with it.",
    ),
    Parameter(
        name="REF_BAND",
        section=_SECTION,
        stage=_STAGE,
        default="AUTO",
        kind=_BAND,
        help="Band of the reference catalogue's magnitudes, AUTO is G for Gaia",
        doc="Band of the magnitudes (ASTREFMAG_KEY) in the reference catalogue. `AUTO`: G for Gaia, not "
        "known for any other, and then nothing is calibrated. With columns BP and RP beside G the published "
        "relations of Gaia DR3 lead to V, R, I, g, r and i.",
    ),
    Parameter(
        name="PHOT_BAND",
        section=_SECTION,
        stage=_STAGE,
        default="AUTO",
        kind=_BAND,
        help="Band of calibrated magnitudes, AUTO after each FILTER",
        doc="Band that magnitudes are calibrated to, whatever the filter: a letter of the MPC's list. `AUTO` "
        "takes the band that the FILTER of an exposure stands for (`SDSS-r` is r); without a filter, or with "
        "a broad one, that is G. Without colours in the reference catalogue it is the catalogue's own.",
    ),
    Parameter(
        name="FILTER_BANDS",
        section=_SECTION,
        stage=_STAGE,
        default="False",
        kind=Words(nothing="False"),
        help="What filters mean, as FILTER=BAND,..., False for their usual names",
        doc="Bands of filters whose names ssosd would not know or would take for another: `Lum=G,Red=r`, "
        "FILTER as the headers write it.",
    ),
)
