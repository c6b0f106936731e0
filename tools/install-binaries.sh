#!/bin/sh
# Make sure that SExtractor, SCAMP, SWarp and Python's venv module are here; with apt where apt is.
# With the argument "tests" also systemd-analyze, which checks the unit file, and chromium, in which pages are looked
# at; their tests skip without them.
set -eu

missing=""
command -v source-extractor >/dev/null || command -v sex >/dev/null || missing="$missing source-extractor"
command -v scamp >/dev/null || missing="$missing scamp"
command -v SWarp >/dev/null || command -v swarp >/dev/null || missing="$missing swarp"
if [ "${1:-}" = tests ] && command -v apt-get >/dev/null; then
    command -v systemd-analyze >/dev/null || missing="$missing systemd"
    command -v chromium >/dev/null || missing="$missing chromium"
fi
"${PYTHON:-python3}" -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3-venv"

[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "Please install:$missing" >&2
    echo "(https://www.astromatic.net has SExtractor, SCAMP and SWarp for other systems)" >&2
    exit 1
fi
if [ -n "${SUDO:-}" ] && ! command -v "$SUDO" >/dev/null; then
    echo "Please install as root: apt-get install$missing" >&2
    exit 1
fi
echo "installing$missing"
# shellcheck disable=SC2086  # a list of package names
DEBIAN_FRONTEND=noninteractive ${SUDO:-} apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive ${SUDO:-} apt-get install -y -qq --no-install-recommends $missing
