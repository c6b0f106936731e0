"""Which exposures of a sequence can be solved together: the others are left out, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ssosd.errors import BadInput
from ssosd.linker.refcat import read_reference
from ssosd.linker.scamp_input import Frame, in_order, load_frame
from ssosd.linker.scamp_pass import Pass, margin_deg, solve_pass
from ssosd.linker.scamp_quality import (
    MIN_STARS,
    field_radius_deg,
    matches,
    star_radius_arcsec,
    stars_near,
)
from ssosd.linker.scamp_run import Scamp, ScampFailed
from ssosd.model import Drop, Exposure
from ssosd.sphere import mean_position, separation_arcsec

MIN_EXPOSURES = 2
_FAILS = "SCAMP fails"


@dataclass(kw_only=True)
class Sifting:
    """The exposures of a sequence while they are sifted."""

    scamp: Scamp
    scratch: Path  # each run of SCAMP has a folder in it
    given: Sequence[Exposure]
    frames: list[Frame] = field(default_factory=list)
    dropped: list[Drop] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)  # reasons that have to do with the reference
    stars: pd.DataFrame = field(default_factory=pd.DataFrame)  # of a local reference
    runs: int = 0

    def load(self, catalogues: Sequence[Path]) -> None:
        """Read the catalogues; leave out those that cannot be used or that the reference does not cover."""
        frames = []
        for exposure, path in zip(self.given, catalogues, strict=True):
            try:
                frames.append(load_frame(exposure, path))
            except BadInput as error:
                self.dropped.append(Drop(digest=exposure.digest, reason=str(error)))
        self.frames = in_order(frames)
        setup, reference = self.scamp.setup, self.scamp.reference
        if reference.files:
            keys, magnitude = setup.words("ASTREFCENT_KEYS")[:2], setup.words("ASTREFMAG_KEY")[0]
            tables = [
                read_reference(path, position_keys=keys, magnitude_key=magnitude) for path in reference.files
            ]
            self.stars = pd.concat(tables, ignore_index=True)
            for frame in list(self.frames):
                near = len(stars_near(self.stars, [frame.exposure], margin_deg=margin_deg(self.scamp)))
                if near < MIN_STARS:
                    self._leave_out(
                        frame,
                        f"the reference catalogue {reference} has {near} stars over its field at "
                        f"{_place(frame.exposure.ra_deg, frame.exposure.dec_deg)}, {MIN_STARS} are needed",
                    )
        self._check_enough()

    def solve(self) -> Pass:
        """Run SCAMP until all frames left match the reference.

        A frame that does not match among the others is tried alone: one bad frame can spoil the joint
        solution of good ones, and can make SCAMP crash.

        Raises
        ------
        BadInput
            Fewer than `MIN_EXPOSURES` are left.
        """
        while True:
            failure = ""
            try:
                attempt = self._attempt(self.frames)
            except ScampFailed as error:
                failure, suspects = _gist(error), list(self.frames)
            else:
                good = matches(attempt.quality)
                suspects = [f for f, ok in zip(self.frames, good, strict=True) if not ok]
                if not suspects:
                    return attempt
            reasons = [self._wrong_alone(frame) for frame in suspects]
            if failure and all(reason.startswith(_FAILS) for reason in reasons):
                raise BadInput(
                    f"SCAMP fails on every exposure: {failure}", next_step=f"check {self.scamp.setup.path}"
                )
            if not any(reasons):
                if failure:
                    raise BadInput(f"SCAMP fails on these exposures together, on none alone: {failure}")
                reasons = ["matches the reference catalogue alone, but not with the others"] * len(suspects)
            for frame, reason in zip(suspects, reasons, strict=True):
                if reason:
                    self._leave_out(frame, reason)
            self._check_enough()

    def _attempt(self, frames: Sequence[Frame], *, linear: bool = False) -> Pass:
        self.runs += 1
        folder = self.scratch / f"solve-{self.runs}"
        return solve_pass(self.scamp, frames, folder=folder, local_stars=self.stars, linear=linear)

    def _wrong_alone(self, frame: Frame) -> str:
        """Why a frame cannot be used, "" when it matches the reference by itself."""
        try:
            quality = self._attempt([frame], linear=True).quality
        except ScampFailed as error:
            return f"{_FAILS} on its catalogue: {_gist(error)}"
        if matches(quality).all():
            return ""
        q, radius = quality.iloc[0], star_radius_arcsec([frame])
        if q["N_DETECTIONS"] < MIN_STARS:
            return (
                f"has {q['N_DETECTIONS']:.0f} usable detections, {MIN_STARS} reference stars among them are "
                "needed: check for clouds, focus and saturation"
            )
        return (
            f"does not match the reference catalogue {self.scamp.reference}: {q['N_MATCHED']:.0f} stars are "
            f'within {radius:.1f}" of their places, {q["N_CHANCE"]:.0f} would be by chance (it has '
            f"{q['N_DETECTIONS']:.0f} detections; contrast in angle and scale {q['AS_CONTRAST']:.1f}, in "
            f"position {q['XY_CONTRAST']:.1f}): check its pointing, rotation and pixel scale, and for clouds"
        )

    def _leave_out(self, frame: Frame, reason: str) -> None:
        self.frames.remove(frame)
        self.dropped.append(Drop(digest=frame.exposure.digest, reason=reason))
        self.unmatched.append(reason)

    def _check_enough(self) -> None:
        """Stop when too few exposures are left, saying what to check."""
        if len(self.frames) >= MIN_EXPOSURES:
            return
        if self.frames or not self.unmatched:
            reasons = self.unmatched or [drop.reason for drop in self.dropped]
            raise BadInput(
                f"{len(self.frames)} of {len(self.given)} exposures can be used, {MIN_EXPOSURES} are needed"
                + (f"; left out, for one: {reasons[0]}" if reasons else "")
            )
        ra, dec = mean_position([e.ra_deg for e in self.given], [e.dec_deg for e in self.given])
        message = f"no exposure matches the reference catalogue {self.scamp.reference}"
        if len(self.stars):
            ra_stars, dec_stars = mean_position(self.stars["RA"], self.stars["DEC"])
            away = float(separation_arcsec(ra, dec, ra_stars, dec_stars)) / 3600.0
            if away > max(field_radius_deg(e) for e in self.given):
                raise BadInput(
                    f"{message}: its stars are around {_place(ra_stars, dec_stars)}, "
                    f"the field is at {_place(ra, dec)}",
                    next_step="give ASTREF_CATALOG a catalogue of this part of the sky",
                )
        raise BadInput(f"{message}; the field is at {_place(ra, dec)}; for one: {self.unmatched[0]}")


def _place(ra_deg: float, dec_deg: float) -> str:
    return f"RA {ra_deg:.3f} Dec {dec_deg:.3f}"


def _gist(error: ScampFailed) -> str:
    """The first line of a failure and the line that says why."""
    lines = [line.strip("> ") for line in error.message.splitlines() if line.strip("> ")]
    said = [line for line in lines if "*Error*" in line] or lines[-1:]
    head = lines[0].partition(":")[0] if len(lines) > 1 else ""
    return ": ".join(dict.fromkeys([*([head] if head else []), *said[-1:]]))
