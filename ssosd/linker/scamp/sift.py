"""Which exposures of a sequence can be solved together: the others are left out, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
from astropy.io import fits

from ssosd.errors import BadInput
from ssosd.linker.scamp.input import Frame, in_order, load_frame
from ssosd.linker.scamp.passes import Pass, distort_degrees, margin_deg, solve_pass, stars_of
from ssosd.linker.scamp.quality import (
    MIN_STARS,
    degree_borne,
    field_radius_deg,
    matches,
    most_rms_arcsec,
    place,
    rms_arcsec,
    star_radius_arcsec,
    stars_near,
    too_few_stars,
    why_unmatched,
)
from ssosd.linker.scamp.run import Scamp, ScampFailed, gist
from ssosd.linker.start import how_turned, placed
from ssosd.model import Drop, Exposure
from ssosd.plumbing.text import counted
from ssosd.sphere import mean_position, separation_arcsec

MIN_EXPOSURES = 2
_NO_WORSE, _NEGLIGIBLE_PX = 1.5, 0.1  # times the residuals with more coefficients, or pixels
_FAILS = "SCAMP fails"


@dataclass(kw_only=True)
class Sifting:
    """The exposures of a sequence while they are sifted."""

    scamp: Scamp
    scratch: Path  # each run of SCAMP has a folder in it
    given: Sequence[Exposure]
    starts: Mapping[str, Sequence[fits.Header]] = field(default_factory=dict)  # WCS of the chips, by digest
    frames: list[Frame] = field(default_factory=list)
    dropped: list[Drop] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)  # reasons that have to do with the reference
    stars: pd.DataFrame = field(default_factory=pd.DataFrame)  # of a local reference
    runs: int = 0
    turned: dict[str, list[str]] = field(default_factory=dict)  # exposures by how their headers are
    narrow: bool = False  # solved with another radius than CROSSID_RADIUS

    def load(self, catalogues: Sequence[Path]) -> None:
        """Read the catalogues; leave out copies and those that are of no use or beside the reference."""
        frames = []
        seen: dict[tuple[object, ...], Exposure] = {}
        for exposure, path in zip(self.given, catalogues, strict=True):
            first = seen.setdefault(exposure.frame, exposure)
            if first is not exposure:
                reason = f"the same frame as {first.name}: camera, time and place are the same"
                self.dropped.append(Drop(digest=exposure.digest, reason=reason))
                continue
            try:
                frames.append(load_frame(exposure, path))
            except BadInput as error:
                self.dropped.append(Drop(digest=exposure.digest, reason=str(error)))
        self.frames = [self._as_solved(frame) for frame in in_order(frames)]
        setup, reference = self.scamp.setup, self.scamp.reference
        if reference.files:
            self.stars = stars_of(reference, setup=setup)
            for frame in list(self.frames):
                few = too_few_stars(
                    frame.exposure, self.stars, reference=reference, margin_deg=margin_deg(self.scamp)
                )
                if few:
                    self._leave_out(frame, few)
        self._check_enough()

    def _as_solved(self, frame: Frame) -> Frame:
        """The frame, with its solution's WCS where its header is turned or mirrored.

        SCAMP does not look so far.
        """
        solved = self.starts.get(frame.exposure.digest, ())
        limit = self.scamp.setup.number("POSANGLE_MAXERR")
        if not solved or not (how := how_turned(frame.headers[0], solved[0], more_than_deg=limit)):
            return frame
        self.turned.setdefault(how, []).append(frame.exposure.name)
        return placed(frame, solved)

    def solve(self) -> Pass:
        """Run SCAMP until all frames left match the reference.

        Where every frame has been solved by itself, SCAMP starts from these solutions; what it finds from
        there is what it finds by matching patterns anew (docs/benchmarks.md), in a fraction of the time. If
        that fails for any frame, or one has no such solution, all is matched anew.

        A frame that does not match among the others is tried alone: one bad frame can spoil the joint
        solution of good ones, and can make SCAMP crash.

        Raises
        ------
        BadInput
            Fewer than `MIN_EXPOSURES` are left.
        """
        started = self._from_starts(self.scamp)
        return self._less_bent(self._less_doubtful(started or self._matched_anew()))

    def _matched_anew(self) -> Pass:
        while True:
            failure = ""
            try:
                attempt = self._attempt(self.frames)
            except ScampFailed as error:
                failure, suspects = gist(error), list(self.frames)
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

    def _less_doubtful(self, found: Pass) -> Pass:
        """Solve a doubtful solution once more with stars paired at 3 pixels, if single solutions allow it.

        With a large CROSSID_RADIUS and few stars SCAMP pairs stars with each other's neighbours and bends the
        field to fit. `narrow` then says that the detections are yet to be linked with CROSSID_RADIUS.
        """
        limit = most_rms_arcsec(self.frames)
        if rms_arcsec(found.quality).max() <= limit:
            return found
        tight = self._tight()
        if tight is None or not rms_arcsec(tight.quality).max() <= limit:
            return found
        self.narrow = True
        return tight

    def _less_bent(self, found: Pass) -> Pass:
        """Solve with fewer coefficients what has few stars for each, where that fits as well.

        A polynomial goes through wrong pairs of few stars as well as through right ones, and its residuals do
        not show it. Distortions that are there do.
        """
        degree = degree_borne(found.quality, self.frames)
        if degree >= max(distort_degrees(self.scamp)):
            return found
        plain = self._tight(degree)
        if plain is None or rms_arcsec(plain.quality).max() > self._as_good(found):
            return found
        self.narrow = True
        return plain

    def _as_good(self, found: Pass) -> float:
        """Residuals that a solution with fewer coefficients may have, arcsec."""
        scale = max(chip.scale_arcsec for frame in self.frames for chip in frame.exposure.chips)
        return max(_NO_WORSE * float(rms_arcsec(found.quality).max()), _NEGLIGIBLE_PX * scale)

    def _tight(self, degree: int | None = None) -> Pass | None:
        """Solve from single solutions with stars paired at 3 pixels; None where that is not to be had."""
        radius = 2.0 * star_radius_arcsec(self.frames)
        return self._from_starts(replace(self.scamp, crossid_radius_arcsec=radius), degree=degree)

    def _from_starts(self, scamp: Scamp, *, degree: int | None = None) -> Pass | None:
        """Solve from what each frame was solved to by itself; None where that is not to be had."""
        starts = {i: self.starts.get(frame.exposure.digest, ()) for i, frame in enumerate(self.frames)}
        if not all(starts.values()):
            return None
        try:
            attempt = self._attempt(self.frames, starts=starts, scamp=scamp, degree=degree)
        except ScampFailed:
            return None
        return attempt if matches(attempt.quality).all() else None

    def _attempt(
        self,
        frames: Sequence[Frame],
        *,
        degree: int | None = None,
        starts: Mapping[int, Sequence[fits.Header]] | None = None,
        scamp: Scamp | None = None,
    ) -> Pass:
        self.runs += 1
        folder = self.scratch / f"solve-{self.runs}"
        return solve_pass(
            scamp or self.scamp, frames, folder=folder, local_stars=self.stars, degree=degree, starts=starts
        )

    def _wrong_alone(self, frame: Frame) -> str:
        """Why a frame cannot be used, "" when it matches the reference by itself."""
        try:
            quality = self._attempt([frame], degree=1).quality
        except ScampFailed as error:
            return f"{_FAILS} on its catalogue: {gist(error)}"
        if matches(quality).all():
            return ""
        return why_unmatched(quality.iloc[0], reference=self.scamp.reference, frame=frame)

    def notes(self) -> list[str]:
        """Say which headers are turned or mirrored."""
        return [
            f"{', '.join(names)}: {how} against what the header{'s say' if len(names) > 1 else ' says'}, and "
            "solved all the same"
            for how, names in self.turned.items()
        ]

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
                f"{len(self.frames)} of {counted(len(self.given), 'exposure')} can be used,"
                f" {MIN_EXPOSURES} are needed" + (f"; left out, for one: {reasons[0]}" if reasons else "")
            )
        ra, dec = mean_position([e.ra_deg for e in self.given], [e.dec_deg for e in self.given])
        message = f"no exposure matches the reference catalogue {self.scamp.reference}"
        # a catalogue of several fields is anywhere on average, and covers this one all the same
        if len(self.stars) and not self._has_stars():
            ra_stars, dec_stars = mean_position(self.stars["RA"], self.stars["DEC"])
            away = float(separation_arcsec(ra, dec, ra_stars, dec_stars)) / 3600.0
            if away > max(field_radius_deg(e) for e in self.given):
                raise BadInput(
                    f"{message}: its stars are around {place(ra_stars, dec_stars)}, "
                    f"the field is at {place(ra, dec)}",
                    next_step="give ASTREF_CATALOG a catalogue of this part of the sky",
                )
        raise BadInput(f"{message}; the field is at {place(ra, dec)}; for one: {self.unmatched[0]}")

    def _has_stars(self) -> bool:
        """Whether a local reference has enough stars where the exposures are said to be."""
        return len(stars_near(self.stars, self.given, margin_deg=margin_deg(self.scamp))) >= MIN_STARS
