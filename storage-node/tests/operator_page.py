"""The operator's page in Chromium: usage: operator_page.py URL

Exits 0 only if the page can be read on a phone and on a desk, without scripts, and asks nobody else for anything.
"""

import os
import shutil
import sys

from playwright.sync_api import sync_playwright

WIDTHS = {"phone": (360, 740), "desk": (1280, 800)}
HEADINGS = {"Space", "Requests since the node was made"}
TOLD = ["quarantined", "place-contradicted", "puts 198.51.100.23 in SG", "(contradicts)", "95.00%", "timeout", "dispute the quarantine",
        "Earned so far", "until 2030-03-17"]
# The least size of text that a phone shows without zooming, in CSS pixels.
TEXT_PIXELS_MIN = 12


def main(url):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        try:
            for name, (width, height) in WIDTHS.items():
                for scheme in ["light", "dark"]:
                    look(browser, url, name, width, height, scheme)
        finally:
            browser.close()


def look(browser, url, name, width, height, scheme):
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, is_mobile=name == "phone")
    page = context.new_page()
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    answer = page.goto(url)
    at = f"{name}, {scheme}"
    expect(answer.status == 200, f"{at}: HTTP {answer.status}")
    headings = set(page.locator("h2").all_inner_texts())
    expect(HEADINGS <= headings, f"{at}: headings {headings}")
    text = page.inner_text("body")
    for told in TOLD:
        expect(told in text, f"{at}: {told!r} is not on the page:\n{text}")
    expect(page.get_by_role("meter", name="Space taken").is_visible(), f"{at}: no meter")
    for name_of_region in ["Space", "Requests since the node was made"]:
        expect(page.get_by_role("region", name=name_of_region).count() == 1, f"{at}: no region {name_of_region!r}")
    wide = page.evaluate("document.documentElement.scrollWidth")
    expect(wide <= width, f"{at}: {wide} pixels wide, the screen has {width}")
    small = page.evaluate(
        "least => [...document.querySelectorAll('body *')].filter(e => e.innerText && parseFloat(getComputedStyle(e).fontSize) < least)"
        ".map(e => e.innerText)", TEXT_PIXELS_MIN)
    expect(not small, f"{at}: too small to read: {small}")
    expect(page.locator("script").count() == 0, f"{at}: the page has a script")
    elsewhere = [address for address in asked if not address.startswith(url)]
    expect(not elsewhere, f"{at}: it asks {elsewhere}")
    complaints = [text for text in complaints if "favicon" not in text]
    expect(not complaints, f"{at}: the browser says {complaints}")
    contrast = page.evaluate(CONTRAST)
    expect(contrast >= 4.5, f"{at}: what is bad stands out by {contrast} to 1 only, WCAG asks for 4.5")
    context.close()


# The contrast of the warning colour against the page, as WCAG 2 computes it.
CONTRAST = """() => {
  const channel = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = rgb => 0.2126 * channel(rgb[0]) + 0.7152 * channel(rgb[1]) + 0.0722 * channel(rgb[2]);
  const canvas = document.createElement('div');
  canvas.style.color = 'Canvas';
  document.body.append(canvas);
  const rgb = element => getComputedStyle(element).color.match(/[0-9.]+/g).slice(0, 3).map(Number);
  const pair = [light(rgb(document.querySelector('.bad'))), light(rgb(canvas))].sort((a, b) => b - a);
  canvas.remove();
  return (pair[0] + 0.05) / (pair[1] + 0.05);
}"""


def expect(holds, otherwise):
    if not holds:
        sys.exit(otherwise)


if __name__ == "__main__":
    main(sys.argv[1])
