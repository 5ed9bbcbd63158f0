"""The page in a real browser: every tab used, by mouse, keyboard and on a narrow screen.

Needs Debian's packages chromium and chromium-driver (apt-get install chromium chromium-driver).
"""

import shutil

import keras
import pytest
import tensorflow as tf

from kerasseq.app.registry import find_task
from kerasseq.config import replace
from kerasseq.storage import write_json
from kerasseq.tasks.sentiment.multiclass import Multiclass
from kerasseq.text.codec import Codec
from kerasseq.text.splitter import WordSplitter
from kerasseq.text.subwords import SubwordCodec
from kerasseq.text.vocabulary import Vocabulary
from kerasseq.text.word_features import WordFeatures
from tests.serve.process import Process, real

pytestmark = pytest.mark.gate
webdriver = pytest.importorskip("selenium.webdriver")
for program in ("chromium", "chromedriver"):
    if shutil.which(program) is None:
        pytest.skip(f"no {program}: apt-get install chromium chromium-driver",
                    allow_module_level=True)  # fmt: skip

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

TEXT = "the film was a wonderful slow story of two old friends and then it rains again"
WORDS = TEXT.split()
SMALL = {
    "sentiment": {"model.embedding": 8, "model.units": 4, "text.ngram_rows": 50},
    "pos_tagging": {"model.embedding": 8, "model.units": 4, "model.character_units": 6},
    "language_model": {"model.embedding": 8, "model.units": 8},
    "translation": {
        "model.embedding": 8, "model.units": 8, "model.encoder_units": 4, "text.level": "word",
    },
}  # fmt: skip


def assets_of(task):
    """What a model of a handful of words needs."""
    vocabulary = Vocabulary.from_counts(dict.fromkeys(WORDS, 1), 30)
    if task.name == "sentiment":
        return task.assets_class(vocabulary, Multiclass(["negative", "positive"]))
    if task.name == "pos_tagging":
        features = WordFeatures.from_sentences([WORDS], task.settings_class().words)
        return task.assets_class(features, WordSplitter(), ["NOUN", "VERB", "X"], None)
    if task.name == "language_model":
        return task.assets_class(Codec("words", vocabulary), None)
    codec = SubwordCodec.learn([TEXT], "word", 40)
    return task.assets_class(codec, codec, ("en", "de"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An untrained model of every task, exported; one of a task that is not of the
    suite; and one whose manifest has nothing for the page."""
    root = tmp_path_factory.mktemp("models")
    for task in map(find_task, SMALL):
        keras.utils.set_random_seed(1)
        settings = replace(task.settings_class(), SMALL[task.name])
        assets = assets_of(task)
        model = task.build_model(settings, assets, portable=True)
        serving = task.use(model, settings, assets).serving(["the film"])
        functions = {name: served.function for name, served in serving.signatures.items()}
        path = root / task.name / "1"
        tf.saved_model.save(serving.module, str(path), signatures=functions)
        page = {**serving.page, "samples": ["the film was a wonderful story", "هذا الفيلم رائع"]}
        manifest = {"task": task.name, "label": task.label, "page": page}
        if task.name == "sentiment":
            manifest["data"] = {"classes": assets.kind.names}
        write_json(path / "manifest.json", manifest)
    other = shutil.copytree(root / "sentiment/1", root / "tickets/1")
    write_json(other / "manifest.json", {"task": "tickets", "label": "Tickets"})
    broken = shutil.copytree(root / "sentiment/1", root / "broken/1")
    (broken / "manifest.json").write_text("[]")
    older = shutil.copytree(root / "language_model/1", root / "older/1")
    write_json(older / "manifest.json", {"task": "language_model", "label": "Older"})
    return root


@pytest.fixture(scope="module")
def server(folder):
    running = Process(folder, start=real).ready()
    yield running
    if running.process.poll() is None:
        running.end()


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(word)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    made = webdriver.Chrome(options, service)
    yield made
    made.quit()


@pytest.fixture
def page(browser, server):
    browser.set_window_size(1100, 900)
    browser.get(server.address)
    wait(browser).until(
        lambda b: len(b.find_elements(By.CSS_SELECTOR, "[role=tab]")) == len(SMALL) + 2
    )
    return browser


def wait(browser):
    return WebDriverWait(browser, 60)


def panel_of(page, title):
    """Opens a tab."""
    tabs = {tab.text: tab for tab in page.find_elements(By.CSS_SELECTOR, "[role=tab]")}
    tabs[title].click()
    (panel,) = [p for p in page.find_elements(By.CSS_SELECTOR, "[role=tabpanel]")
                if p.is_displayed()]  # fmt: skip
    return panel


def press(panel, label):
    (button,) = [b for b in panel.find_elements(By.CSS_SELECTOR, "button.act") if b.text == label]
    button.click()
    return button


def write(panel, text):
    box = panel.find_element(By.TAG_NAME, "textarea")
    box.clear()
    if len(text) > 1000:  # as if pasted: a driver types a key at a time
        panel.parent.execute_script("arguments[0].value = arguments[1]", box, text)
    else:
        box.send_keys(text)


def set_number(panel, label, value):
    for box in panel.find_elements(By.CSS_SELECTOR, ".fields > div"):
        if box.find_element(By.TAG_NAME, "label").text == label:
            field = box.find_element(By.TAG_NAME, "input")
            field.clear()
            field.send_keys(str(value))


def shown(page, panel, button):
    """What an action shows when it is done."""
    wait(page).until(lambda _: button.is_enabled())
    return panel.find_element(By.CLASS_NAME, "out")


def test_sentiment_shows_what_each_word_weighed(page):
    panel = panel_of(page, "Sentiment")
    write(panel, "the film was wonderful")
    out = shown(page, panel, press(panel, "Classify"))
    assert out.find_element(By.CSS_SELECTOR, ".bars code").text in ("negative", "positive")
    assert [s.text for s in out.find_elements(By.CSS_SELECTOR, ".words span")] == [
        "the", "film", "was", "wonderful",
    ]  # fmt: skip
    assert len(out.find_elements(By.TAG_NAME, "li")) == 4


def test_a_task_of_another_package_has_a_panel_of_its_own_name(page):
    panel = panel_of(page, "Tickets")
    write(panel, "the film")
    assert shown(page, panel, press(panel, "Classify")).find_elements(By.CSS_SELECTOR, ".bars code")


def test_a_version_that_says_nothing_for_the_page_is_named(page):
    assert "export its run again" in panel_of(page, "Older").text


def test_tagging_colours_every_word(page):
    panel = panel_of(page, "Tagging")
    write(panel, "two old friends.")
    out = shown(page, panel, press(panel, "Tag"))
    tokens = out.find_elements(By.CLASS_NAME, "token")
    assert [t.find_element(By.TAG_NAME, "b").text for t in tokens] == ["two", "old", "friends", "."]
    assert all(t.find_element(By.TAG_NAME, "i").text.endswith("%") for t in tokens)


def test_next_words_generation_and_beam(page):
    panel = panel_of(page, "Language model")
    write(panel, "the film")
    out = shown(page, panel, press(panel, "Next word"))
    assert len(out.find_elements(By.CLASS_NAME, "fill")) == 10
    set_number(panel, "Tokens", 6)
    out = shown(page, panel, press(panel, "Generate"))
    assert out.find_element(By.CLASS_NAME, "prompt").text == "the film"
    assert len(out.text) > len("the film")
    words = out.find_element(By.CLASS_NAME, "text").text
    out = shown(page, panel, press(panel, "Generate"))  # each time with another seed
    assert words.startswith("the film")
    set_number(panel, "Beam", 2)
    out = shown(page, panel, press(panel, "Beam search"))
    assert out.text.count("log-probability") == 2
    for label, value, said in (
        ("Top-k", -1, "top_k must be 0 (all tokens) or more"),
        ("Temperature", 0, "temperature must be above 0 and finite"),
        ("Tokens", 0, "Tokens: from 1 to 500"),
    ):
        set_number(panel, label, value)
        out = shown(page, panel, press(panel, "Generate"))
        assert said in out.find_element(By.CSS_SELECTOR, "[role=alert]").text


def test_a_generation_can_be_stopped(page):
    panel = panel_of(page, "Language model")
    write(panel, "the film")
    set_number(panel, "Tokens", 500)
    generate = press(panel, "Generate")
    wait(page).until(lambda _: panel.find_elements(By.CLASS_NAME, "caret"))
    press(panel, "Stop")
    out = shown(page, panel, generate)
    assert not out.find_elements(By.CLASS_NAME, "caret")
    assert not out.find_elements(By.CLASS_NAME, "error")


def test_translation_shows_the_best_ones_and_their_attention(page):
    panel = panel_of(page, "Translation")
    assert "English to German" in panel.text
    write(panel, "the film was slow")
    set_number(panel, "Beam", 3)
    out = shown(page, panel, press(panel, "Translate"))
    choices = out.find_elements(By.CSS_SELECTOR, "input[type=radio]")
    assert len(choices) == 3
    sources = [h.get_attribute("textContent") for h in
               out.find_elements(By.CSS_SELECTOR, "thead th")]  # fmt: skip
    assert [s.strip("\u2581") for s in sources] == ["the", "film", "was", "slow", "<eos>"]
    for row in out.find_elements(By.CSS_SELECTOR, "tbody tr"):
        cells = row.find_elements(By.TAG_NAME, "td")
        values = [float(c.get_attribute("style").partition(":")[2].strip(" ;")) for c in cells]
        assert sum(values) == pytest.approx(1, abs=0.01)
    before = out.find_element(By.CSS_SELECTOR, "tbody").text
    choices[2].click()
    assert out.find_element(By.CSS_SELECTOR, "tbody").text != before


def test_nothing_written_is_said_and_the_next_try_works(page):
    panel = panel_of(page, "Sentiment")
    write(panel, " ")
    out = shown(page, panel, press(panel, "Classify"))
    assert out.find_element(By.CSS_SELECTOR, "[role=alert]").text == "Write something first."
    write(panel, "x" * 20_001)
    out = shown(page, panel, press(panel, "Classify"))
    assert "at most 20000 characters" in out.find_element(By.CSS_SELECTOR, "[role=alert]").text
    write(panel, "the film")
    assert not shown(page, panel, press(panel, "Classify")).find_elements(By.CLASS_NAME, "error")


def test_what_cannot_be_served_is_shown_beside_what_can(page):
    broken = page.find_element(By.ID, "broken")
    broken.click()
    assert broken.find_element(By.TAG_NAME, "li").text == "broken 1: manifest.json is no object"


def test_a_sample_is_taken_and_sent_by_control_enter(page):
    panel = panel_of(page, "Tagging")
    samples = panel.find_elements(By.CLASS_NAME, "sample")
    assert samples[0].text == "the film was a wonderful story"
    samples[0].click()
    box = page.switch_to.active_element
    assert box.get_attribute("value") == samples[0].text
    box.send_keys(Keys.CONTROL, Keys.ENTER)
    out = panel.find_element(By.CLASS_NAME, "out")
    wait(page).until(lambda _: out.find_elements(By.CLASS_NAME, "token"))
    assert page.switch_to.active_element == box  # it can be gone on with
    assert out.find_element(By.CLASS_NAME, "copy").text == "Copy"


def test_text_from_right_to_left_stays_so_beside_numbers(page):
    panel = panel_of(page, "Sentiment")
    write(panel, "هذا الفيلم رائع")
    box = panel.find_element(By.TAG_NAME, "textarea")
    assert box.value_of_css_property("direction") == "rtl"
    out = shown(page, panel, press(panel, "Classify"))
    assert out.find_element(By.CLASS_NAME, "words").value_of_css_property("direction") == "rtl"
    for number in out.find_elements(By.CSS_SELECTOR, "li bdi.num"):
        assert number.value_of_css_property("direction") == "ltr"
        assert number.text[0] in "+\u2212"


def test_it_works_by_keyboard(page):
    page.find_element(By.CSS_SELECTOR, "[role=tab][aria-selected=true]").send_keys(Keys.ARROW_RIGHT)
    chosen = page.switch_to.active_element
    assert chosen.get_attribute("aria-selected") == "true"
    first = page.find_elements(By.CSS_SELECTOR, "[role=tab]")[0]
    assert chosen != first
    chosen.send_keys(Keys.HOME)
    assert page.switch_to.active_element == first
    page.switch_to.active_element.send_keys(Keys.TAB)
    assert page.switch_to.active_element.tag_name == "textarea"


def test_it_fits_a_phone_and_needs_nothing_from_outside(page):
    page.set_window_size(500, 800)
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True,
    })  # fmt: skip
    try:
        for title in ("Sentiment", "Tagging", "Language model", "Translation"):
            panel = panel_of(page, title)
            write(panel, "the film was a wonderful slow story of two old friends")
            button = panel.find_element(By.CSS_SELECTOR, "button.act")
            button.click()
            shown(page, panel, button)
            assert page.execute_script("return document.documentElement.scrollWidth") <= 360
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    loaded = page.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert all(name.startswith("http://127.0.0.1:") for name in loaded)


def luminance(page, property_):
    colour = page.find_element(By.TAG_NAME, "body").value_of_css_property(property_)
    red, green, blue = (int(v) for v in colour[colour.index("(") + 1 : -1].split(",")[:3])
    return 0.3 * red + 0.6 * green + 0.1 * blue


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_it_is_light_or_dark_as_the_system_is(page, scheme, dark):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    try:
        assert (luminance(page, "background-color") < luminance(page, "color")) == dark
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_token_is_asked_for(browser, folder):
    running = Process(folder, token="secret").ready()
    try:
        browser.get(running.address)
        wait(browser).until(lambda b: b.find_element(By.ID, "token").is_displayed())
        browser.find_element(By.ID, "token").send_keys("wrong", Keys.ENTER)
        said = browser.find_element(By.ID, "about")
        wait(browser).until(lambda _: said.text == "That token is not the right one.")
        assert browser.switch_to.active_element.get_attribute("id") == "token"
        browser.switch_to.active_element.send_keys("secret", Keys.ENTER)
        wait(browser).until(
            lambda b: len(b.find_elements(By.CSS_SELECTOR, "[role=tab]")) == len(SMALL) + 2
        )
    finally:
        running.end()


def test_no_model_and_no_server_are_said(page, server, browser, tmp_path):
    panel = panel_of(page, "Tagging")
    write(panel, "the film")
    server.end()
    out = shown(page, panel, press(panel, "Tag"))
    said = out.find_element(By.CSS_SELECTOR, "[role=alert]").text
    assert said == "the server does not answer"
