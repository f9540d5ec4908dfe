//! The page of a run in a real headless browser, driven like a user would: by clicks and keys.

#![cfg(target_os = "linux")]
// A skipped test prints the reason; the time of the large page is printed.
#![allow(clippy::print_stderr)]

mod driver;
mod made;

use std::net::TcpListener;
use std::path::Path;

use driver::{Browser, DOWN, ENTER, ESCAPE, LEFT, RIGHT, TAB, UP};
use exitone::model::Verdict;
use made::{APP, HOSTILE, LOGGED, LONG, SHUT};
use serde_json::{Value, json};

/// No case is open.
const CLOSED: &str = "document.querySelector('#panel').hidden && location.hash === ''";
/// The text of the panel.
const PANEL: &str = "document.querySelector('#panel').innerText";

/// Whether this case, and no other, is open: in the panel, in the address, and in the matrix.
fn is_open(page: &made::Page, at: usize) -> String {
    let id = page.id(at);
    format!(
        "!document.querySelector('#panel').hidden && document.querySelector('#panel .case a').textContent === {id:?}
         && decodeURIComponent(location.hash) === '#' + {id:?}
         && [...document.querySelectorAll('.matrix .open')].map((b) => b.dataset.case).join() === '{at}'"
    )
}

/// Whether the keyboard focus is on the cell of this case.
fn is_focused(at: usize) -> String {
    format!("document.activeElement.dataset.case === '{at}'")
}

/// The numbers of the visible cells that are not faded, in order.
fn shown(browser: &Browser) -> Vec<usize> {
    let cells = browser
        .js("[...document.querySelectorAll('[data-case]')].filter((b) => b.checkVisibility() && getComputedStyle(b).opacity === '1')
           .map((b) => Number(b.dataset.case)).sort((a, b) => a - b)");
    serde_json::from_value(cells).expect("numbers")
}

/// The page's script had no error, and the policy blocked none of it.
#[track_caller]
fn console_is_silent(browser: &Browser) {
    assert_eq!(browser.log("browser"), Vec::<Value>::new());
}

#[test]
fn click_opens_a_case_and_escape_restores_the_focus() {
    let Some(browser) = Browser::start() else { return };
    let page = made::small();
    browser.size(1280, 900);
    browser.open(&page.path, "");
    browser.holds(CLOSED);
    assert_eq!(browser.number("document.querySelectorAll('[data-case]').length"), 14);
    let failed = page.run.in_order().filter(|r| r.verdict == Verdict::Fail).count();
    assert_eq!(browser.number("document.querySelectorAll('.matrix .cell.fail').length") as usize, failed);
    assert_eq!(browser.number("document.querySelectorAll('.matrix .cell.missed').length"), 1);
    browser.picture("matrix-light");

    let at = page.at(APP, "env.unset:B");
    browser.click(&page.cell(APP, "env.unset:B"));
    browser.until(&is_open(&page, at));
    browser.holds("document.activeElement.matches('#panel h2')");
    let panel = browser.text(PANEL).to_lowercase();
    for text in [
        "it exits with code 1 after 1.00 s",
        "time line, from the start of the process",
        "cause",
        "missing-dependency",
        "install it in the image",
        "log: modulenotfounderror: no module named 'psycopg2'",
        "as app runner would log it",
        "container exit code: 1",
        "reproduce it by hand",
    ] {
        assert!(panel.contains(text), "{text} is missing: {panel}");
    }
    browser.holds("document.querySelector('#panel pre.log').textContent.includes(\"No module named 'psycopg2'\")");
    let repro = browser.text("document.querySelector('#panel .repro pre').textContent");
    assert!(repro.starts_with("exitone repro ") && repro.contains(page.id(at)), "{repro}");
    // The drawing and the table show the same events.
    browser.holds("document.querySelectorAll('#panel svg.line .mark.exit').length === 1");
    browser.holds("document.querySelectorAll('#panel svg.line rect.starting').length === 1");
    browser.holds("/1\\.000 s\\s+exit 1/.test(document.querySelector('#panel .events').innerText)");
    browser.picture("panel-light");
    browser.click("#panel .copy");
    browser.until("document.querySelector('#panel .copy').textContent === 'copied'");

    browser.press([ESCAPE]);
    browser.until(&format!("{CLOSED} && {}", is_focused(at)));
    // With the button, from a case with more to draw.
    let at = page.at(LONG, SHUT);
    browser.click(&page.cell(LONG, SHUT));
    browser.until(&is_open(&page, at));
    for lane in ["DNS", "connects", "process"] {
        browser.holds(&format!("document.querySelector('#panel .lanes').innerText.includes('{lane}')"));
    }
    assert_eq!(browser.number("document.querySelectorAll('#panel svg.line .mark.c').length"), 3);
    browser.picture("panel-network-light");
    browser.click("#panel .close");
    browser.until(&format!("{CLOSED} && {}", is_focused(at)));
    // Back and forward are the browser's own.
    browser.click(&page.cell(APP, ""));
    browser.until(&is_open(&page, page.at(APP, "")));
    browser.js("history.back()");
    browser.until(&format!("{CLOSED} && {}", is_focused(page.at(APP, ""))));
    console_is_silent(&browser);
}

#[test]
fn every_cell_is_reachable_by_keyboard() {
    let Some(browser) = Browser::start() else { return };
    let page = made::small();
    browser.open(&page.path, "");
    // One cell of the matrix is a tab stop, namely the first.
    browser.holds("document.querySelectorAll('[data-case][tabindex=\"0\"]').length === 1");
    browser.js("document.querySelector('[data-case]').focus()");
    let (first, right) = (page.at(APP, ""), page.at(LONG, ""));
    browser.holds(&is_focused(first));
    for (key, to) in [
        (RIGHT, right),
        (DOWN, page.at(LONG, "env.unset:A")),
        (LEFT, page.at(APP, "env.unset:A")),
        // The edge holds.
        (LEFT, page.at(APP, "env.unset:A")),
        (UP, first),
        (UP, first),
        (DOWN, page.at(APP, "env.unset:A")),
        (DOWN, page.at(APP, "env.unset:B")),
        (DOWN, page.at(APP, SHUT)),
        // To the next scenario, and back.
        (DOWN, page.at(APP, "env.unset:D")),
        (DOWN, page.at(APP, "env.unset:B env.unset:D")),
        (UP, page.at(APP, "env.unset:D")),
        (UP, page.at(APP, SHUT)),
    ] {
        browser.press([key]);
        browser.until(&is_focused(to));
        browser.holds(&format!("document.activeElement.tabIndex === 0 && {CLOSED}"));
        browser.holds("document.querySelectorAll('[data-case][tabindex=\"0\"]').length === 1");
    }
    browser.press([ENTER]);
    browser.until(&is_open(&page, page.at(APP, SHUT)));
    browser.press([ESCAPE]);
    browser.until(&format!("{CLOSED} && {}", is_focused(page.at(APP, SHUT))));

    // Next and previous in plan order, up to its ends.
    browser.press([ENTER]);
    let at = page.at(APP, SHUT);
    browser.until(&is_open(&page, at));
    for (key, to) in [('n', at + 1), ('n', at + 2), ('p', at + 1), ('p', at), ('p', at - 1)] {
        browser.press([key]);
        browser.until(&is_open(&page, to));
        browser.holds("document.activeElement.matches('#panel h2')");
    }
    browser.click("#panel .tools button:nth-child(2)");
    browser.until(&is_open(&page, at));
    browser.press([ESCAPE]);
    browser.until(&format!("{CLOSED} && {}", is_focused(at)));
    // Without an open case they do nothing, and in the search field they are letters.
    browser.press(['n']);
    browser.holds(CLOSED);
    browser.press(['/']);
    browser.until("document.activeElement.id === 'search'");
    browser.press("np".chars());
    browser.holds(&format!("document.querySelector('#search').value === 'np' && {CLOSED}"));
    browser.press([ESCAPE]);
    browser.until("document.querySelector('#search').value === ''");
    // The tab key leaves the search for the groups.
    browser.press([TAB]);
    browser.until("document.activeElement.matches('.group')");
    console_is_silent(&browser);
}

#[test]
fn search_and_groups_filter_the_cases() {
    let Some(browser) = Browser::start() else { return };
    let page = made::small();
    let all: Vec<usize> = (0..14).collect();
    let found = "document.querySelector('#found').textContent";
    browser.open(&page.path, "");
    assert_eq!(shown(&browser), all);

    browser.press(['/']);
    browser.until("document.activeElement.id === 'search'");
    // A word of a log.
    browser.press("psycopg2".chars());
    browser.until(&format!("{found} === '2 of 14 cases'"));
    let with_log = vec![page.at(APP, "env.unset:B"), page.at(APP, "env.unset:B env.unset:D")];
    assert_eq!(shown(&browser), with_log);
    assert_eq!(browser.number("[...document.querySelectorAll('.matrix tbody tr')].filter((r) => !r.hidden).length"), 2);
    // Enter goes to the first of them, and "next" then goes to the next of them.
    browser.press([ENTER]);
    browser.until(&is_focused(with_log[0]));
    browser.press([DOWN]);
    browser.until(&is_focused(with_log[1]));
    browser.press([UP, ENTER]);
    browser.until(&is_open(&page, with_log[0]));
    browser.press(['n']);
    browser.until(&is_open(&page, with_log[1]));
    browser.press(['n']);
    browser.holds(&is_open(&page, with_log[1]));
    browser.press([ESCAPE, '/']);
    browser.until("document.activeElement.id === 'search'");
    browser.press("zzz".chars());
    browser.until(&format!("{found} === 'no case matches'"));
    assert!(shown(&browser).is_empty());
    browser.press([ESCAPE]);
    browser.until(&format!("{found} === '' && document.querySelector('#search').value === ''"));
    assert_eq!(shown(&browser), all);

    // Click on the groups; each shows its number of cases.
    let bad: Vec<usize> = (page.run.entries().enumerate()).filter(|(_, e)| !e.is_good()).map(|(n, _)| n).collect();
    assert_eq!(
        browser.text("document.querySelector('[data-group=missed]').innerText"),
        format!("{} not as expected", bad.len())
    );
    browser.click("[data-group=missed]");
    browser.until(&format!("{found} === '{} of 14 cases'", bad.len()));
    assert_eq!(shown(&browser), bad);
    browser.click("[data-group=missed]");
    browser.until(&format!("{found} === ''"));
    assert_eq!(shown(&browser), all);
    // A cause searches for its name.
    browser.click("[data-cause='missing-dependency']");
    browser.until(&format!("{found} === '2 of 14 cases'"));
    browser.holds("document.querySelector('[data-cause=\"missing-dependency\"]').ariaPressed === 'true'");
    assert_eq!(shown(&browser), with_log);
    browser.click("[data-cause='missing-dependency']");
    browser.until(&format!("{found} === ''"));
    assert_eq!(shown(&browser), all);
    console_is_silent(&browser);
}

#[test]
fn url_fragment_opens_its_case() {
    let Some(browser) = Browser::start() else { return };
    let page = made::small();
    for at in [page.at(HOSTILE, "env.unset:B"), page.at(LONG, SHUT)] {
        browser.open(&page.path, &format!("#{}", page.id(at)));
        browser.holds(&is_open(&page, at));
        browser.holds(&format!("document.querySelector('[data-case=\"{at}\"]').checkVisibility()"));
    }
    // The link in the panel is that address.
    let link = browser.text("document.querySelector('#panel .case a').href");
    assert_eq!(link, browser.text("location.href"));
    // An unknown fragment opens nothing.
    for fragment in ["#no-such-case", "#%E0%A4%A"] {
        browser.open(&page.path, fragment);
        browser.holds("document.querySelector('#panel').hidden");
    }
    console_is_silent(&browser);
}

#[test]
fn page_makes_no_network_requests() {
    let Some(browser) = Browser::start() else { return };
    let page = made::small();
    browser.open(&page.path, "");
    browser.click(&page.cell(HOSTILE, "env.unset:B"));
    browser.until(&is_open(&page, page.at(HOSTILE, "env.unset:B")));
    assert_eq!(browser.js("performance.getEntriesByType('resource').map((r) => r.name)"), json!([]));
    let asked: Vec<String> = browser
        .log("performance")
        .iter()
        .filter_map(|entry| serde_json::from_str::<Value>(entry["message"].as_str()?).ok())
        .filter(|entry| entry["message"]["method"] == "Network.requestWillBeSent")
        .map(|entry| entry["message"]["params"].clone())
        // The browser's own start page loads parts of the browser.
        .filter(|asked| asked["documentURL"].as_str().is_some_and(|by| by.starts_with("file:")))
        .filter_map(|asked| asked["request"]["url"].as_str().map(str::to_owned))
        .filter(|url| !url.starts_with("data:"))
        .collect();
    assert_eq!(asked, [format!("file://{}", page.path.display())], "the page, and nothing else");
    // The file contains nothing that another browser would fetch either; output of cases is text.
    let own = page.html.split("<div id=\"still\">").next().expect("its head").to_owned()
        + page.html.split("</script>").nth(1).expect("its script");
    let own = own.replace("href=\"data:,\"", "").replace("http://www.w3.org/2000/svg", "");
    for word in ["http:", "https:", "src=", "url(", "@import", "href=\"", "fetch(", "XMLHttpRequest", "import("] {
        assert!(!own.contains(word), "{word}");
    }
    assert!(browser.text("document.querySelector('meta[http-equiv]').content").starts_with("default-src 'none';"));
    console_is_silent(&browser);

    // The policy is in force: an image from another origin is not requested, an injected script does not run.
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    other.set_nonblocking(true).expect("it can be asked");
    let port = other.local_addr().expect("bound").port();
    for (name, put) in [
        ("img-src", format!("Object.assign(new Image(), {{src: 'http://127.0.0.1:{port}/x'}})")),
        (
            "script-src-elem",
            "Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'})".to_owned(),
        ),
    ] {
        browser.js(&format!(
            "addEventListener('securitypolicyviolation', (e) => document.body.dataset.refused = e.effectiveDirective),
             document.body.append({put})"
        ));
        browser.until(&format!("document.body.dataset.refused === '{name}'"));
    }
    browser.holds("window.ran === undefined");
    assert!(other.accept().is_err(), "a request was made");
}

#[test]
fn candidate_output_is_shown_as_text() {
    let Some(browser) = Browser::start() else { return };
    let page = made::small();
    let at = page.at(HOSTILE, "env.unset:B");
    let untouched = "window.ran === undefined && document.title.startsWith('exitone: ')
        && document.querySelectorAll('body img, body iframe, body b:not(button b)').length === 0
        && document.scripts.length === 2 && !document.querySelector('[onload], [onerror]')";
    browser.open(&page.path, "");
    browser.holds(untouched);
    browser.click(&page.cell(HOSTILE, "env.unset:B"));
    browser.until(&is_open(&page, at));
    browser.holds(untouched);
    // Character by character, including the separators that JavaScript once treated as line ends.
    let log = browser.text("document.querySelector('#panel pre.log').textContent");
    assert_eq!(log.trim_end(), LOGGED);
    let cause = browser.text("document.querySelector('#panel .cause').textContent");
    assert!(
        cause.contains("`<img src=x onerror=window.ran=1>` of `</script><script>window.ran=1</script>`"),
        "{cause}"
    );
    // Nor through the search, the print view or a cell's title.
    browser.press("/onerror=".chars());
    browser.until("document.querySelector('#found').textContent === '1 of 14 cases'");
    browser.js("dispatchEvent(new Event('beforeprint'))");
    browser.until("document.querySelectorAll('#paper pre.log').length > 0");
    browser.holds(untouched);
    console_is_silent(&browser);
    // The same without scripts: the tables exist, and no part of a cause is an element.
    browser.cdp("Emulation.setScriptExecutionDisabled", &json!({"value": true}));
    let still = browser.reloaded();
    assert!(still.contains("<div id=\"still\">") && !still.contains("<main"), "{still}");
    assert!(still.contains("&lt;img src=x onerror=window.ran=1&gt;"), "{still}");
    assert!(!still.contains("<img") && !still.contains("<b>bold") && !still.contains("<iframe"), "{still}");
}

#[test]
fn page_follows_the_dark_color_scheme() {
    let Some(browser) = Browser::start() else { return };
    let page = made::small();
    browser.size(1280, 900);
    browser.open(&page.path, "");
    // The brightness of the background and the text.
    let bright = |of: &str| {
        let value = browser.js(&format!("getComputedStyle(document.body).{of}.match(/\\d+/g).slice(0, 3).map(Number)"));
        serde_json::from_value::<Vec<u32>>(value).expect("three numbers").iter().sum::<u32>() / 3
    };
    let is_dark = || (bright("backgroundColor") < 60 && bright("color") > 180, bright("backgroundColor") > 200);
    browser.media("screen", "light");
    assert_eq!(is_dark(), (false, true));
    browser.media("screen", "dark");
    assert_eq!(is_dark(), (true, false));
    browser.picture("matrix-dark");
    browser.click(&page.cell(LONG, SHUT));
    browser.until(&is_open(&page, page.at(LONG, SHUT)));
    browser.picture("panel-dark");
    browser.press([ESCAPE]);
    // The reader's own choice overrides the system's, and persists.
    let choose = |look: &str| {
        browser.click("#theme");
        browser.until(&format!("document.querySelector('#theme').textContent === 'theme: {look}'"));
    };
    choose("light");
    assert_eq!(is_dark(), (false, true));
    browser.open(&page.path, "");
    assert_eq!(is_dark(), (false, true));
    choose("dark");
    browser.media("screen", "light");
    assert_eq!(is_dark(), (true, false));
    choose("auto");
    assert_eq!(is_dark(), (false, true));
    console_is_silent(&browser);
}

/// The elements with text whose contrast is below WCAG 2.2's minimum (4.5 to 1): text, contrast.
const FAINT: &str = "(() => {
  const parts = (color) => (color.match(/[\\d.]+/g) || []).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4).reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const style = getComputedStyle(e);
      // Stripes: their stronger colour.
      if (style.backgroundImage !== 'none') return parts(style.backgroundImage.match(/rgb\\([^)]*\\)/)[0]);
      const color = parts(style.backgroundColor);
      if (color.length === 3 || color[3] > 0.5) return color;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && !e.closest('svg, :disabled, .away')
    && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())).map((e) => {
      const [a, b] = [light(parts(getComputedStyle(e).color)), light(ground(e))].sort((a, b) => b - a);
      return [e.textContent.slice(0, 40), Math.round((a + 0.05) / (b + 0.05) * 100) / 100];
    }).filter(([, contrast]) => contrast < 4.5);
})()";

#[test]
fn text_is_readable_at_every_width() {
    let Some(browser) = Browser::start() else { return };
    let page = made::small();
    browser.open(&page.path, "");
    for (scheme, width) in
        [("light", 1280), ("dark", 1280), ("light", 800), ("light", 500), ("dark", 500), ("light", 360)]
    {
        browser.media("screen", scheme);
        browser.size(width, 900);
        let fits = || {
            let wide = "document.documentElement.scrollWidth <= innerWidth";
            assert_eq!(browser.js(wide), true, "{width}: the page is wider than the window");
            let out = browser.js(
                "[...document.querySelectorAll('header *, .bar *, footer *, #panel *')].filter((e) => e.checkVisibility()
                   && !e.closest('svg, .keys, thead') && (e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1))
                   .map((e) => e.outerHTML.slice(0, 120))",
            );
            assert_eq!(out, json!([]), "{width}: cut off");
            assert_eq!(browser.js(FAINT), json!([]), "{scheme}, {width}: too faint");
        };
        fits();
        browser.picture(&format!("matrix-{scheme}-{width}"));
        for (image, conditions) in [(APP, "env.unset:B"), (LONG, SHUT), (HOSTILE, "env.unset:B")] {
            let at = page.at(image, conditions);
            browser.click(&page.cell(image, conditions));
            browser.until(&is_open(&page, at));
            fits();
            browser.picture(&format!("panel-{scheme}-{width}-{at}"));
            browser.press([ESCAPE]);
            browser.until(CLOSED);
        }
    }
    console_is_silent(&browser);
}

#[test]
fn print_view_shows_everything() {
    let Some(browser) = Browser::start() else { return };
    let page = made::small();
    browser.size(1280, 900);
    browser.open(&page.path, "");
    // What is hidden or open on screen makes no difference.
    browser.media("screen", "dark");
    browser.press("/psycopg2".chars());
    browser.until("document.querySelector('#found').textContent === '2 of 14 cases'");
    browser.press([ENTER, ENTER]);
    browser.until(&is_open(&page, page.at(APP, "env.unset:B")));
    browser.js("addEventListener('beforeprint', () => { document.body.dataset.printed = document.querySelectorAll('#paper article').length; })");

    let pdf = browser.cdp("Page.printToPDF", &json!({"printBackground": true}));
    let pdf = driver::from_base64(pdf["data"].as_str().expect("a file"));
    assert!(pdf.starts_with(b"%PDF-"));
    let told = page.run.entries();
    let told = told.filter(|e| !e.is_good() || e.result.is_some_and(|r| r.verdict == Verdict::Fail)).count();
    browser.until(&format!("document.body.dataset.printed === '{told}'"));
    browser.until("document.querySelectorAll('#paper article').length === 0");

    // The same layout in the window, where it can be inspected.
    browser.js("dispatchEvent(new Event('beforeprint'))");
    browser.media("print", "dark");
    assert_eq!(shown(&browser), (0..14).collect::<Vec<_>>());
    browser.holds("[...document.querySelectorAll('.matrix')].every((m) => m.checkVisibility())");
    browser.holds("[...document.querySelectorAll('.matrix .cell')].every((c) => getComputedStyle(c).opacity === '1')");
    assert_eq!(
        browser.number("[...document.querySelectorAll('#paper article')].filter((a) => a.checkVisibility()).length")
            as usize,
        told
    );
    browser.holds(
        "![...document.querySelectorAll('#panel, .bar, .causes, #theme, .copy')].some((e) => e.checkVisibility())",
    );
    // Nothing is behind a scroll bar.
    browser.holds("[...document.querySelectorAll('.scroll, #paper .log, #paper .events')].every((e) => e.scrollHeight <= e.clientHeight + 1)");
    browser.holds("getComputedStyle(document.body).backgroundColor === 'rgb(255, 255, 255)'");
    browser.holds("[...document.querySelectorAll('#paper svg.line > *')].every((e) => e.checkVisibility())");
    browser.picture("paper");
    browser.media("screen", "light");
    browser.js("dispatchEvent(new Event('afterprint'))");
    browser.until("document.querySelectorAll('#paper article').length === 0");
    assert_eq!(shown(&browser).len(), 2, "the screen has its filter again");
    console_is_silent(&browser);
}

#[test]
fn renders_a_thousand_cases() {
    let Some(browser) = Browser::start() else { return };
    let page = made::large();
    browser.size(1280, 900);
    browser.open(&page.path, "");
    assert_eq!(browser.number("document.querySelectorAll('.matrix [data-case]').length"), 1000);
    assert_eq!(browser.number("document.querySelectorAll('.matrix .cell.fail').length"), 500);
    let ready = browser.text("document.documentElement.dataset.ready");
    let ready: f64 = ready.parse().expect("milliseconds");
    assert!(ready > 0.0);
    eprintln!("1,000 cases, {} KiB: ready after {ready:.0} ms", page.html.len() >> 10);
    browser.picture("thousand");
    // The focused cell is visible: no sticky heading covers it.
    browser.size(700, 500);
    browser.js("document.querySelector('[data-case]').focus()");
    for key in [DOWN, UP, RIGHT, LEFT].into_iter().flat_map(|key| [key; 25]) {
        browser.press([key]);
        let uncovered = "(() => {
            const cell = document.activeElement;
            const { left, right, top, bottom } = cell.getBoundingClientRect();
            const seen = (x, y) => document.elementFromPoint(x, y) === cell;
            return cell.matches('.cell') && seen(left + 3, top + 3) && seen(right - 3, bottom - 3);
        })()";
        browser.holds(uncovered);
    }
    for width in [700, 500, 360] {
        browser.size(width, 500);
        let low = "[...document.querySelectorAll('.matrix tbody tr')].every((row) => row.offsetHeight < 60)";
        browser.holds(&format!("{low} && document.documentElement.scrollWidth <= innerWidth"));
        browser.picture(&format!("thousand-{width}"));
    }
    browser.press("/variable_49 m1".chars());
    let matching =
        page.run.in_order().filter(|r| r.conditions.to_string().contains("VARIABLE_49") && r.log.contains("m1"));
    browser.until(&format!("document.querySelector('#found').textContent === '{} of 1000 cases'", matching.count()));
    console_is_silent(&browser);
}

#[test]
fn no_browser_process_is_left_after_a_panic() {
    let Some(browser) = Browser::start() else { return };
    let (driver, profile) = (browser.process(), browser.profile().to_owned());
    assert!(processes(&profile) > 0 && Path::new(&format!("/proc/{driver}")).exists());
    let ended = std::thread::spawn(move || browser.js("document.nothing.at.all")).join();
    assert!(ended.is_err(), "the script fails, and the test that asked with it");
    assert!(!Path::new(&format!("/proc/{driver}")).exists());
    assert_eq!(processes(&profile), 0);
    assert!(!profile.exists());
}

/// Number of processes that use a profile.
fn processes(profile: &Path) -> usize {
    let profile = profile.to_string_lossy();
    let all = std::fs::read_dir("/proc").expect("a list of processes").flatten();
    all.filter_map(|e| std::fs::read(e.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(&*profile))
        .count()
}
