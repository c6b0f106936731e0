"""The inspector and the live page in a real browser: keys, blink, what is kept; nothing is asked of elsewhere."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from itertools import product

import pytest

from ssosd.reports.morning.candidates import triage
from ssosd.sphere import from_offsets_arcsec
from ssosd.store.verdicts import _pairs
from tests.inspecting import (
    inspecting,
    linked_anew,
    said_in_csv,
    said_in_store,
    without_a_detection,
)

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update"
    " --disable-sync --no-first-run"
)
pytestmark = [
    pytest.mark.binaries,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield opened
        opened.close()


@contextmanager
def tab(browser, url, *, person="Ada"):
    """A page that says nothing on the console and asks nothing of anybody else."""
    said, asked = [], []
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    if "live" not in url:
        page.wait_for_selector("#film button")
        page.fill("#person", person)
        page.press("#person", "Enter")
    yield page
    page.context.close()
    page.close()
    elsewhere = [address for address in asked if not address.startswith(url.partition("live")[0])]
    assert (elsewhere, said) == ([], [])


def name(page):
    return page.inner_text("#name")


def reads(page, selector, text):
    """Wait until an element has this text."""
    sync_api = pytest.importorskip("playwright.sync_api")
    sync_api.expect(page.locator(selector)).to_contain_text(text, timeout=20_000)


def kept(page):
    reads(page, "#files", "kept")


def test_exposures_without_a_detection_stand_beside_it(browser, inspected, inspectable):
    with inspecting(inspected) as client, tab(browser, client.url) as page:
        first = name(page)
        assert page.is_hidden("#without")
    without_a_detection(inspected, inspectable, first)
    with inspecting(inspected) as client, tab(browser, client.url) as page:
        assert page.inner_text("#missed").split("\n") == [
            "19:12:00", "measured, 20.75 G", "21:36:00", "too faint, fainter than 21.3"
        ]  # fmt: skip


def test_keys_give_verdicts_that_store_and_csv_have(browser, inspected, inspectable):
    with inspecting(inspected) as client, tab(browser, client.url) as page:
        first = name(page)
        page.keyboard.press("ArrowRight")
        second = name(page)
        assert [first, second] == triage(inspectable.candidates, {})
        page.keyboard.press("ArrowLeft")
        kept(page)
        assert said_in_store(inspected, inspectable.night) == {first: "asteroid", second: "artifact"}
        assert page.inner_text("#count") == "2 of 2 judged"
        page.keyboard.press("ArrowDown")
        assert (name(page), page.inner_text("#said")) == (first, "asteroid")
        page.keyboard.press("ArrowUp")
        kept(page)
        reads(page, "#files", "kept, files written")
        expected = {first: "unknown", second: "artifact"}
        assert said_in_csv(replayed_csv(inspected, inspectable)) == expected
        page.keyboard.press("u")
        reads(page, "#said", "asteroid")
        assert said_in_store(inspected, inspectable.night) == {**expected, first: "asteroid"}
    assert said_in_csv(replayed_csv(inspected, inspectable)) == {**expected, first: "asteroid"}


def replayed_csv(target, inspectable):
    return target / inspectable.night / "candidates.csv"


def test_a_key_that_is_held_down_judges_once(browser, inspected, inspectable):
    with inspecting(inspected) as client, tab(browser, client.url) as page:
        first = name(page)
        page.keyboard.down("ArrowRight")
        page.keyboard.down("ArrowRight")
        page.keyboard.up("ArrowRight")
        kept(page)
        assert said_in_store(inspected, inspectable.night) == {first: "asteroid"}


def test_it_blinks_until_it_is_paused_and_looks_as_it_is_told_to(browser, inspected):
    with inspecting(inspected) as client, tab(browser, client.url) as page:
        look = page.locator("#blink").screenshot
        seen = {page.wait_for_timeout(170) or look() for _ in range(12)}
        assert len(seen) >= 3
        page.keyboard.press(" ")
        still = look()
        page.wait_for_timeout(500)
        assert look() == still
        for key in ("m", "t", "i", "c", "+", "."):
            page.keyboard.press(key)
            changed = look()
            assert changed != still, key
            still = changed
        page.wait_for_timeout(500)
        assert look() == still
        page.keyboard.press("?")
        assert page.is_visible("#help")
        page.keyboard.press("ArrowRight")  # help is open: no verdict
        page.keyboard.press("Escape")
        assert page.inner_text("#count") == "0 of 2 judged"


def test_verdicts_wait_while_the_tunnel_is_broken(browser, inspected, inspectable):
    """The browser itself says on the console that it has no network; that is no fault of the page."""
    with inspecting(inspected) as client:
        page = browser.new_context().new_page()
        page.goto(client.url)
        page.wait_for_selector("#film button")
        first = name(page)
        page.context.set_offline(True)
        page.keyboard.press("ArrowRight")
        reads(page, "#files", "1 verdict waits")
        assert said_in_store(inspected, inspectable.night) == {}
        page.context.set_offline(False)
        page.reload()  # and they outlive the page
        page.wait_for_selector("#film button")
        kept(page)
        reads(page, "#count", "1 of 2 judged")
        assert said_in_store(inspected, inspectable.night) == {first: "asteroid"}
        page.context.close()


def test_who_has_not_seen_another_s_verdict_is_shown_it_and_looks_again(browser, inspected, inspectable):
    with inspecting(inspected) as client, inspecting(inspected) as other, tab(browser, client.url) as ada:
        bob = browser.new_page()
        bob.route("**/changes?*", lambda route: route.fulfill(json=route.fetch().json() | {"history": []}))
        bob.goto(other.url)
        bob.wait_for_selector("#film button")
        bob.fill("#person", "Bob")
        bob.press("#person", "Enter")
        first = name(ada)
        ada.keyboard.press("ArrowRight")
        kept(ada)
        assert name(bob) == first
        bob.keyboard.press("ArrowLeft")
        reads(bob, "#toast", f"Ada said asteroid of {first}")
        reads(bob, "#said", "asteroid, says Ada")
        assert name(bob) == first
        assert said_in_store(inspected, inspectable.night) == {first: "asteroid"}
        bob.keyboard.press("ArrowLeft")  # now that Bob knows
        kept(bob)
        reads(ada, f"[data-id='{first}'] .word", "artifact")  # and Ada is told by herself
        assert said_in_store(inspected, inspectable.night) == {first: "artifact"}
        bob.context.close()


def test_a_page_that_is_open_while_its_field_is_linked_anew_stays_at_the_object(
    browser, inspected, inspectable
):
    night, field = inspectable.night, inspectable.candidates["FIELD"].iloc[0]
    with inspecting(inspected) as client, tab(browser, client.url) as page:
        one, other = triage(inspectable.candidates, {})
        assert name(page) == one
        position = page.locator("#facts dt:text('position') + dd").inner_text()
        with page.expect_response(f"**/candidates/{one}"):  # nothing is asked for that goes away meanwhile
            linked_anew(inspected, night, {one: other, other: one})
            reads(page, "#toast", f"{field} linked anew: {one} is {other} now.")
            assert name(page) == other
            assert page.locator("#facts dt:text('position') + dd").inner_text() == position
            page.keyboard.press("ArrowRight")
            kept(page)
        assert said_in_store(inspected, night) == {other: "asteroid"}
        reads(page, "#name", one)
        with page.expect_response(f"**/candidates/{other}"):
            linked_anew(inspected, night, {one: None})
            reads(page, "#toast", f"{field} linked anew: {one} is no candidate any more.")
        assert (name(page), page.inner_text("#said")) == (other, "asteroid")
        assert page.inner_text("#count") == "1 of 1 judged"
        linked_anew(inspected, night, {other: None})
        page.wait_for_selector("#note")  # as it is seen
        assert page.inner_text("#name") == page.inner_text("#film") == ""


def test_the_page_finds_again_what_the_store_finds_again(browser, inspected):
    """Four hours before its first detection, of one that moves 2000 arcsec/h, and beside it."""
    hours, pm_ra, pm_dec = -4.0, 1200.0, -1600.0
    call = "async ([c, seen]) => (await import('../static/again.js')).again(c, 'A', seen)?.id"
    with inspecting(inspected) as client, tab(browser, client.url) as page:
        for dec, (off, found) in product((-85.0, 0.0, 60.0), ((0.0, True), (4.9, True), (5.1, False))):
            place = from_offsets_arcsec(hours * pm_ra + off, hours * pm_dec, 359.9, dec)
            mjd, (ra_seen, dec_seen) = 61358.9 + hours / 24, map(float, place)
            row = {"mjd_first": 61358.9, "ra_deg": 359.9, "dec_deg": dec, "pm_ra": pm_ra, "pm_dec": pm_dec}
            entry = {"id": "A", "mjd": 61358.9, "ra": 359.9, "dec": dec, "rate": 2000.0, "pa": 143.1301024}
            judged = {"id": 1, "mjd": mjd, "ra_deg": ra_seen, "dec_deg": dec_seen}
            assert bool(_pairs([judged], [row])) == found
            assert (
                page.evaluate(call, [[entry], {"mjd": mjd, "ra": ra_seen, "dec": dec_seen}]) == "A"
            ) == found


def test_verdicts_that_waited_while_the_field_was_linked_anew_fall_on_what_was_seen(
    browser, inspected, inspectable
):
    night = inspectable.night
    with inspecting(inspected) as client:
        page = browser.new_context().new_page()
        page.goto(client.url)
        page.wait_for_selector("#film button")
        one, other = triage(inspectable.candidates, {})
        page.context.set_offline(True)
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowLeft")
        reads(page, "#files", "2 verdicts wait")
        linked_anew(inspected, night, {one: other, other: None})
        page.context.set_offline(False)
        reads(
            page,
            "#toast",
            f"{other}: linked anew, no candidate is there any more; yours (artifact) is not kept.",
        )
        kept(page)
        assert said_in_store(inspected, night) == {other: "asteroid"}
        reads(page, "#said", "asteroid")
        page.context.close()


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_the_live_page_shows_the_night_and_has_nothing_to_click_but_light_and_dark(
    browser, inspected, inspectable, scheme
):
    with inspecting(inspected) as client, tab(browser, f"{client.url}live/") as page:
        page.emulate_media(color_scheme=scheme)
        page.wait_for_selector("#fields td")
        assert page.inner_text("#night") == inspectable.night
        assert inspectable.candidates["FIELD"].iloc[0] in page.inner_text("#fields")
        assert page.locator("button, input, select, form, a").evaluate_all("all => all.map(e => e.id)") == [
            "theme"
        ]
        light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(245, 246, 250)"
        assert light == (scheme == "light")
