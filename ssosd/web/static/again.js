// Objects found again after their field was linked anew: names may mean other ones then, places do not.

const SAME_WITHIN_ARCSEC = 5; // as in the store
const RADIAN = Math.PI / 180;

/** How far a candidate passes from a place where one was seen, arcsec on the tangent plane. */
function away(candidate, { mjd, ra, dec }) {
  const [d, d0, east] = [dec * RADIAN, candidate.dec * RADIAN, (ra - candidate.ra) * RADIAN];
  const near = Math.sin(d0) * Math.sin(d) + Math.cos(d0) * Math.cos(d) * Math.cos(east);
  if (near <= 0) return Infinity;
  const scale = 3600 / RADIAN / near;
  const xi = Math.cos(d) * Math.sin(east) * scale;
  const eta = (Math.sin(d - d0) + 2 * Math.sin(d0) * Math.cos(d) * Math.sin(east / 2) ** 2) * scale;
  const moved = 24 * (mjd - candidate.mjd) * (candidate.rate ?? 0);
  const pa = (candidate.pa ?? 0) * RADIAN;
  return Math.hypot(xi - moved * Math.sin(pa), eta - moved * Math.cos(pa));
}

/** The candidate that is now where one of this name was seen, as the store finds it; undefined where none is. */
export function again(candidates, name, seen) {
  return candidates
    .map((candidate) => ({ candidate, off: away(candidate, seen) }))
    .filter(({ off }) => off <= SAME_WITHIN_ARCSEC)
    .sort((a, b) => a.off - b.off || (b.candidate.id === name) - (a.candidate.id === name))[0]?.candidate;
}
