"""A reader in a browser: signs in, checks studies, adds them to the store, reviews them and reads the reviews back."""

from __future__ import annotations

import io
import re
import time
import zipfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from playwright.async_api import BrowserContext, ConsoleMessage, Page, Response
from playwright.async_api import Error as BrowserError
from pydicom.uid import UID

from dashboard.worklist.review_session import LOOK_S
from ichscope import phantom
from ichscope.labels import DISPLAY_NAMES
from ichscope.phantom import Phantom
from ichscope.reporting.figures.theme import number
from tests.support.study_folders import study_uid

PASSWORD = "purple tractor lamp 9"
WAIT_MS = 240_000
_SEARCH = "Study key or Study Instance UID"
_CHOOSER = "DICOM files or ZIPs with any number of studies"
_BAD = "[data-testid=stException], [data-testid=stAlertContentError]"
_LOOK_AGAIN_MS = 2_000
_T = TypeVar("_T")


class WrongResultError(Exception):
    """What is shown is not what belongs to this upload."""


@dataclass(frozen=True)
class Head:
    """A synthetic head, and what `ichscope analyse` says of it: an entry of its JSON."""

    made: Phantom
    said: Mapping[str, Any]

    @property
    def slices(self) -> int:
        return len(self.made.hu)

    @property
    def scores(self) -> dict[str, str]:
        """Probability of a haemorrhage by model, as pages show it."""
        return {name: number(model["probability"]["any"]) for name, model in self.said["models"].items()}

    @property
    def flagged(self) -> bool:
        return any(model["flagged"] for model in self.said["models"].values())


@dataclass(frozen=True)
class Confirmed:
    """A study that the pages have shown with its review. `agree` is None where its reader set labels instead."""

    uid: str
    study: int
    head: Head
    bleeds: bool
    comment: str


@dataclass
class Reader:
    """One person with an account and a browser context of their own.

    number : tells this reader's studies from those of others
    seconds : by step, as long as each took
    wrong : results that were not those of the upload; errors : all else that went wrong
    """

    name: str
    number: int
    address: str
    context: BrowserContext
    heads: list[Head]
    confirmed: list[Confirmed] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    rounds: int = 0

    async def work(self, until: float) -> None:
        """Go on until the time is up; a round that has begun comes to its end.

        until : of time.monotonic()
        """
        try:
            page = await self._signed_in()
        except BrowserError as error:
            self.errors.append(f"{self.name}, signing in: {str(error)[:300]!r}")
            return
        while time.monotonic() < until:
            self.rounds += 1
            try:
                await self._round(page)
            except (BrowserError, WrongResultError) as error:
                found = self.wrong if isinstance(error, WrongResultError) else self.errors
                found.append(f"{self.name}, round {self.rounds}: {str(error)[:300]!r}, page {await _text(page)!r}")
                await self._anew(page)
        try:
            await page.goto(f"{self.address}/account")
            await page.get_by_role("button", name="Sign out", exact=True).click()
            await page.get_by_label("Name", exact=True).wait_for()
        except BrowserError as error:
            self.errors.append(f"{self.name}, signing out: {str(error)[:300]!r}")

    async def _anew(self, page: Page) -> None:
        try:
            await page.goto(self.address)
            await page.get_by_text("Drop a study here").wait_for()
        except BrowserError as error:
            self.errors.append(f"{self.name}, beginning anew: {str(error)[:300]!r}")

    def uid(self, number: int) -> str:
        """Study Instance UID of the study of a round."""
        return study_uid(1000 * self.number + number)

    async def _signed_in(self) -> Page:
        self.context.set_default_timeout(WAIT_MS)
        page = await self.context.new_page()
        page.on("pageerror", lambda error: self.errors.append(f"{self.name}: script: {error}"))
        page.on("console", self._told)
        page.on("response", self._answered)
        # Without a sign-in the page itself is refused, with the form.
        await page.goto(f"{self.address}/sign-in")
        await page.get_by_label("Name", exact=True).fill(self.name)
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.keyboard.press("Enter")
        await page.get_by_text("Drop a study here").wait_for()
        return page

    def _told(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not _probe(message.location.get("url", "")):
            self.errors.append(f"{self.name}: console: {message.text[:300]}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and not _probe(response.url):
            self.errors.append(f"{self.name}: {response.status} {response.url}")

    # ---- a round -------------------------------------------------------------------------------------------

    async def _round(self, page: Page) -> None:
        head = self.heads[self.rounds % len(self.heads)]
        uid = self.uid(self.rounds)
        title = f"{self.name}-{self.rounds}"
        files = _files(head.made, uid, title, packed=self.rounds % 2 == 0)
        await self._timed("study check", lambda: self._check(page, files, title, head))
        await page.get_by_role("link", name="Worklist").click()
        await self._timed("added to the worklist", lambda: self._add(page, files))
        await self._timed("found in the list", lambda: self._find(page, uid))
        study = await self._opened(page, head)
        confirmed = await self._timed("review", lambda: self._review(page, head, uid, study, title))
        await self._timed("read back", lambda: self._read_back(page, confirmed))
        self.confirmed.append(confirmed)
        await page.get_by_role("link", name="Study check").click()
        await page.get_by_text("Drop a study here").wait_for()

    async def _timed(self, step: str, act: Callable[[], Awaitable[_T]]) -> _T:
        began = time.perf_counter()
        result = await act()
        self.seconds.setdefault(step, []).append(time.perf_counter() - began)
        return result

    async def _check(self, page: Page, files: list[Any], title: str, head: Head) -> None:
        """Upload on the page Study check, compare what it shows, and go back to a new study."""
        await page.locator("input[type=file]").set_input_files(files)
        await page.locator(".verdict").wait_for()
        await _compare(page, head)
        _expect(title in await page.locator(".stMain").inner_text(), f"the name {title}")
        await page.get_by_role("button", name="New study").click()
        await page.get_by_text("Drop a study here").wait_for()

    async def _add(self, page: Page, files: list[Any]) -> None:
        """Upload on the page Worklist, and wait until there is a list."""
        chooser, add = page.get_by_text(_CHOOSER), page.get_by_role("button", name="Add studies")
        await page.get_by_role("heading", name="Worklist").wait_for()
        await chooser.or_(add).first.wait_for()
        if await add.is_visible():
            await add.click()
        await chooser.wait_for()
        await page.locator("input[type=file]").set_input_files(files)
        await chooser.wait_for(state="hidden")
        await page.get_by_placeholder(_SEARCH).wait_for()

    async def _find(self, page: Page, uid: str) -> None:
        """Search for a study until it is there; another one must not come."""
        row, search = page.locator(".studies tr[data-study]"), page.get_by_placeholder(_SEARCH)
        end = time.monotonic() + WAIT_MS / 1000
        await search.fill(uid)
        await search.press("Enter")
        nothing = page.get_by_text("No studies match these filters.")
        while time.monotonic() < end:
            await row.or_(nothing).first.wait_for()
            if await row.count() == 1 and await search.input_value() == uid:
                return
            await page.wait_for_timeout(_LOOK_AGAIN_MS)
            again = page.get_by_role("button", name="Show new studies")
            if await again.is_visible():
                await again.click()
        raise BrowserError("the study did not come")

    async def _opened(self, page: Page, head: Head) -> int:
        """Open the one study of the list; gives its number."""
        row = page.locator(".studies tr[data-study]")
        cells = await row.locator("td").all_inner_texts()
        for score in (*head.scores.values(), str(head.slices)):
            _expect(score in cells, f"{score} in the list, found {cells}")
        study = int(await row.get_attribute("data-study") or 0)
        await row.locator("a").click()
        await page.wait_for_url(f"**/worklist?study={study}*")
        await page.locator(".verdict").wait_for()
        await _compare(page, head)
        return study

    async def _review(self, page: Page, head: Head, uid: str, study: int, title: str) -> Confirmed:
        """Agree, or, every third time, say the contrary with a comment."""
        contrary = self.rounds % 3 == 0
        await page.get_by_role("button", name="Agree", exact=True).wait_for()
        await page.wait_for_timeout(1000 * LOOK_S + 100)  # who agrees has looked
        if contrary:
            await page.get_by_role("button", name="Correct", exact=True).click()
            answers = page.get_by_role("radiogroup", name=DISPLAY_NAMES["any"])
            await answers.get_by_text("No" if head.flagged else "Yes", exact=True).click()
            await page.get_by_placeholder("Comment").fill(title)
            await page.get_by_role("button", name="Save", exact=True).click()
        else:
            await page.get_by_role("button", name="Agree", exact=True).click()
        await page.get_by_text(f"Saved for {self.name}").wait_for()
        return Confirmed(uid, study, head, head.flagged != contrary, title if contrary else "")

    async def _read_back(self, page: Page, confirmed: Confirmed) -> None:
        """Load the page anew, and find the result and the one review."""
        await page.reload()
        reviews = page.locator(".reviews > div")
        await reviews.first.wait_for()
        await page.locator(".verdict").wait_for()
        await _compare(page, confirmed.head)
        told = await reviews.all_inner_texts()
        said = f"{DISPLAY_NAMES['any']}: {'yes' if confirmed.bleeds else 'no'}"
        _expect(len(told) == 1, f"one review, found {told}")
        for text in (self.name, said, confirmed.comment):
            _expect(text in told[0], f"{text} in the review, found {told}")
        _expect("as typed" not in told[0], f"a signed review, found {told}")


def _probe(url: str) -> bool:
    """Whether Streamlit's scripts only look where its server is: on a page other than the first, below it, too."""
    return re.search(r"/worklist/_stcore/(health|host-config)$", url) is not None


def _files(head: Phantom, uid: str, title: str, packed: bool) -> list[Any]:
    """DICOM files of a study under a new UID, one by one or as a ZIP, as the browser sends them."""
    uids = {"StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1", "FrameOfReferenceUID": f"{uid}.2"}
    named = []
    for place, one in enumerate(phantom.datasets(head, **uids, PatientID=title), 1):
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = UID(f"{uid}.1.{place}")
        named.append((f"{title}-IM{place:03}.dcm", phantom.to_bytes(one)))
    if not packed:
        return [{"name": name, "mimeType": "application/dicom", "buffer": data} for name, data in named]
    with zipfile.ZipFile(archive := io.BytesIO(), "w") as file:
        for name, data in named:
            file.writestr(f"{title}/{name}", data)
    return [{"name": f"{title}.zip", "mimeType": "application/zip", "buffer": archive.getvalue()}]


async def _compare(page: Page, head: Head) -> None:
    """See at once that the answer is that of the head, then that its pictures are."""
    verdict = await page.locator(".verdict").inner_text()
    for model, score in head.scores.items():
        _expect(f"{model} ({score}, " in verdict, f"{model} {score}, found {verdict!r}")
    _expect(("FLAGGED" in verdict) == head.flagged, f"flagged: {head.flagged}, found {verdict!r}")
    await page.locator(".viewer[data-slice]").wait_for()
    place = await page.locator(".viewer .place").inner_text()
    _expect(re.search(rf"/{head.slices}\b", place) is not None, f"{head.slices} slices, found {place!r}")
    table = page.locator("table.models").first
    for row in (await table.locator("tr").all_inner_texts())[1:]:
        _expect(any(model in row and score in row for model, score in head.scores.items()), f"{head.scores}, {row!r}")
    _expect(not await page.locator(_BAD).count(), "no error on the page")


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise WrongResultError(f"expected {what}")


async def _text(page: Page) -> str:
    """What stands on the page, to understand what went wrong."""
    try:
        return (await page.locator("body").inner_text(timeout=5_000))[:600]
    except BrowserError:
        return ""
