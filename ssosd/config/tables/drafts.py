"""Parameters of the drafts: what goes in, and who observed with what."""

from __future__ import annotations

from ssosd.config.kinds import Number, Pattern, Words
from ssosd.config.parameter import Parameter

_DRAFTS = "Drafts"
_TEXT = Pattern(
    expression=r"""(?! )(?:(?!["#])[ -~]){1,100}(?<! )""",
    description="text without a quote or #; False: not told",
    metavar="TEXT",
)
_MISSING = "`False`: not told, and where ADES demands it the drafts say that they are not ready."


def _text(name: str, help_: str, doc: str) -> Parameter:
    return Parameter(
        name=name, section=_DRAFTS, stage="reports", default="False", kind=_TEXT, help=help_, doc=doc
    )


def _names(name: str, help_: str, doc: str) -> Parameter:
    return Parameter(
        name=name,
        section=_DRAFTS,
        stage="reports",
        default="False",
        kind=Words(nothing="False"),
        help=help_,
        doc=doc,
    )


ENTRIES: tuple[Parameter, ...] = (
    Parameter(
        name="DRAFT_POLICY",
        section=_DRAFTS,
        stage="reports",
        default="KNOWN",
        kind=Pattern(
            expression=r"(?i:VERDICTS|KNOWN|ALL)",
            description="VERDICTS | KNOWN | ALL",
            metavar="WORD",
            upper=True,
        ),
        help="What goes into the drafts: VERDICTS | KNOWN | ALL",
        doc="`VERDICTS`: candidates that a person calls an asteroid. `KNOWN`: these, and known objects that "
        "nobody has looked at. `ALL`: all but artifacts. What a person calls an artifact, and positions that "
        "were not measured (FLAGS_SSOS 32), never go in; candidates that could not be compared with the "
        "known objects are in drafts of their own.",
    ),
    _names("SUBMITTER", "Who sends: initials and family name", f"Name of who sends the drafts. {_MISSING}"),
    _names(
        "OBSERVERS",
        'Names, as "A. Nobody,B. Some"',
        'Comma-separated names of the observers, as `"A. Nobody,B. Some"`.',
    ),
    _names(
        "MEASURERS",
        "Names of the people who measure",
        f"Comma-separated names of who measures, a person that is. {_MISSING}",
    ),
    _text(
        "INSTITUTION",
        "Institution of the submitter",
        "Institution of who sends the drafts, in ADES alone. Optional.",
    ),
    _text(
        "CONTACT",
        "Postal address of the submitter",
        "Postal address of who sends the drafts, in the record CON. Optional.",
    ),
    _names("AC2", "Address that the MPC answers to", "E-mail address of the record AC2 and of a submission."),
    _text(
        "TELESCOPE",
        "Name of the telescope",
        "Name of the telescope, in ADES alone. Optional.",
    ),
    _text(
        "TELESCOPE_DESIGN",
        "Reflector, Schmidt-Cassegrain ...",
        f"Design of the telescope, a word such as Reflector. {_MISSING}",
    ),
    Parameter(
        name="TELESCOPE_APERTURE",
        section=_DRAFTS,
        stage="reports",
        default="0",
        kind=Number(low=0, high=100),
        unit="m",
        help="Aperture, 0 not told",
        doc="Diameter of the telescope. 0: not told, and the drafts say that they are not ready.",
    ),
    Parameter(
        name="TELESCOPE_FRATIO",
        section=_DRAFTS,
        stage="reports",
        default="0",
        kind=Number(low=0, high=1000),
        help="Focal ratio, 0 not told",
        doc="Focal ratio of the telescope. 0: not told.",
    ),
    Parameter(
        name="DETECTOR",
        section=_DRAFTS,
        stage="reports",
        default="CCD",
        kind=Pattern(expression=r"(?i:CCD|CMOS)", description="CCD | CMOS", metavar="WORD", upper=True),
        help="Kind of detector: CCD | CMOS",
        doc="Kind of detector: column 15 of the 80 columns (C, B) and ADES' mode (CCD, CMO).",
    ),
    _text("COMMENT", "Comment on all drafts", "A comment on all drafts, in the record COM. Optional."),
)
