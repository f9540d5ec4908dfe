//! Where a program says that it listens: `Listening on http://127.0.0.1:8000`. Pure.

use std::net::IpAddr;
use std::sync::LazyLock;

use regex::Regex;

use crate::catalogue::Seen;

/// What a program announces.
pub(super) struct Announced {
    /// The address as written: `127.0.0.1`, `localhost`, `[::]`, or nothing.
    pub(super) host: String,
    /// The port.
    pub(super) port: u16,
}

impl Announced {
    /// Whether only the container itself reaches it. `localhost` may be all that a program prints of `0.0.0.0`.
    fn is_inside(&self) -> bool {
        self.host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Words for a server that is ready.
const VERBS: &str =
    "listening|listens|running|serving|started|responding|launched|starting|available|accessible|bound|ready|up";
/// Hosts as servers print them.
const HOST: &str = r"[\w.-]+|\[[0-9a-fA-F:.]*\]|\*|\+";

/// With a URL, with a port alone, with an address.
static FORMS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let forms = [
        format!(r"(?i)\b(?:{VERBS}|server|url)\b.{{0,60}}?\b(?:https?|tcp)://(?P<host>{HOST}):(?P<port>\d{{2,5}})\b"),
        format!(r"(?i)\b(?:{VERBS})\b.{{0,40}}?\bport(?:\(s\)|s)?[\s:=#'\x22]{{1,3}}(?P<port>\d{{2,5}})\b"),
        format!(
            r"(?i)\b(?:{VERBS})\b.{{0,40}}?\b(?:on|at|to|addr|address)\b\W{{0,3}}(?P<host>{HOST})?:(?P<port>\d{{2,5}})\b"
        ),
    ];
    forms.iter().filter_map(|form| Regex::new(form).ok()).collect()
});

/// Words of lines about ports that serve something else.
const OTHERS: [&str; 11] = [
    "debug",
    "inspect",
    "metrics",
    "prometheus",
    "admin",
    "management",
    "pprof",
    "livereload",
    "hmr",
    "database",
    "not ",
];

/// What a line announces.
pub(super) fn announced(line: &str) -> Option<Announced> {
    let low = line.to_ascii_lowercase();
    // The level of the line is no word about it.
    let low = low.trim_start().trim_start_matches(['[', '<']).trim_start_matches("debug");
    if OTHERS.iter().any(|word| low.contains(word)) {
        return None;
    }
    FORMS.iter().find_map(|form| {
        let groups = form.captures(line)?;
        let host = groups.name("host").map(|host| host.as_str().to_owned()).unwrap_or_default();
        Some(Announced { host, port: groups.name("port")?.as_str().parse().ok()? })
    })
}

/// The line that announces such a place, and the place. `asked`: the port that was asked.
pub(super) fn says<'a>(
    seen: &Seen,
    asked: Option<u16>,
    lines: impl Iterator<Item = &'a str>,
) -> Option<(usize, Announced)> {
    let mut all: Vec<(usize, Announced)> =
        lines.enumerate().filter_map(|(n, line)| Some((n, announced(line)?))).collect();
    let last = all.last()?.1.port;
    let is_so = match seen {
        Seen::Says => true,
        Seen::SaysInside => all.iter().all(|(_, one)| one.is_inside()),
        _ => asked.is_some_and(|asked| all.iter().all(|(_, one)| one.port == last && one.port != asked)),
    };
    all.pop().filter(|_| is_so)
}

#[cfg(test)]
mod tests {
    use super::announced;

    #[test]
    fn reads_where_servers_say_that_they_listen() {
        for (line, host, port) in [
            ("INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)", "127.0.0.1", 8000),
            ("[2024-01-01 10:00:00 +0000] [7] [INFO] Listening at: http://0.0.0.0:8000 (7)", "0.0.0.0", 8000),
            (" * Running on http://127.0.0.1:5000", "127.0.0.1", 5000),
            ("Starting development server at http://127.0.0.1:8000/", "127.0.0.1", 8000),
            ("* Listening on tcp://0.0.0.0:3000", "0.0.0.0", 3000),
            ("Now listening on: http://[::]:8080", "[::]", 8080),
            ("Tomcat started on port(s): 8080 (http) with context path ''", "", 8080),
            ("Tomcat started on port 8081 (http) with context path '/'", "", 8081),
            ("Server is running on port 3000", "", 3000),
            ("Example app listening on port: 3000!", "", 3000),
            ("2024/01/01 10:00:00 listening on :8080", "", 8080),
            (r#"{"level":30,"msg":"Server listening at http://127.0.0.1:3000"}"#, "127.0.0.1", 3000),
            ("[INFO  actix_server] starting service, listening on: 127.0.0.1:8080", "127.0.0.1", 8080),
            ("Rocket has launched from http://127.0.0.1:8000", "127.0.0.1", 8000),
            ("[PHP 8.2.1 Development Server (http://localhost:8000) started]", "localhost", 8000),
            ("Server running at http://localhost:4000/", "localhost", 4000),
            ("Running on local URL:  http://127.0.0.1:7860", "127.0.0.1", 7860),
        ] {
            let found = announced(line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!((found.host.as_str(), found.port), (host, port), "{line}");
        }
        for line in [
            "Debugger listening on ws://127.0.0.1:9229/0f2c",
            "connecting to http://127.0.0.1:8000",
            "Serving metrics on :9090",
            "Started GET \"/\" for 127.0.0.1 at 2024-01-01 10:00:00",
            "started server process [1]",
            "the app is not listening on port 8080",
        ] {
            assert!(announced(line).is_none(), "{line}");
        }
    }
}
